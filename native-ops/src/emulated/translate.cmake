# CUDA C++ -> C++: launches and shared memory of a size that the launch names. cmake -DFROM=FILE -DTO=FILE -P translate.cmake
file(READ "${FROM}" text)
string(REGEX REPLACE "([A-Za-z_]+(<[^<>;]*>)?)<<<([^;]*)>>>\\(" "::zigma::emulated::Grid(\\3).Of(\\1)(" text "${text}")
string(REGEX REPLACE "extern __shared__ __align__\\([0-9]+\\) char ([a-z_]+)\\[\\]" "static char* const \\1 = ::zigma::emulated::dynamic_shared" text "${text}")
file(WRITE "${TO}" "${text}")
