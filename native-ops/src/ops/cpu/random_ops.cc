#include "../../kernels/philox.h"
#include "backend.h"

namespace zigma::ops {
namespace {

constexpr int64_t kBlocksPerTask = 1024;

// Four words a counter: four uniform numbers, or two pairs of normal ones.
struct PhiloxOp {
  using Backend = CpuBackend;
  static constexpr const char* kName = "Philox";
  static std::vector<Slot> Inputs() { return {Required(Element::kInt64), Required(Element::kInt64), Required(Element::kInt64)}; }
  static std::vector<Slot> Outputs() { return {Required(Element::kFloat32)}; }

  Dims shape;
  bool normal;
  uint32_t stream;
  explicit PhiloxOp(Ort::ConstKernelInfo info)
      : shape(info.GetAttributes<int64_t>("shape")),
        normal(info.GetAttribute<std::string>("distribution") == "normal"),
        stream(uint32_t(info.GetAttribute<int64_t>("stream"))) {}

  void Run(const Call& call) const {
    const uint64_t seed = uint64_t(*call.In<int64_t>(0, "seed", {1}));
    const uint32_t step = uint32_t(*call.In<int64_t>(1, "step", {1}));
    const int64_t* sample = call.In<int64_t>(2);
    const int64_t batch = call.Sizes(2, "sample", 1)[0];
    Dims dims = {batch};
    dims.insert(dims.end(), shape.begin(), shape.end());
    int64_t size = 1;
    for (const int64_t n : shape) size *= n;
    float* out = call.Out<float>(0, dims);
    const int64_t blocks = (size + 3) / 4, tasks = (blocks + kBlocksPerTask - 1) / kBlocksPerTask;
    call.Threads().run(batch * tasks, [&](int64_t task) {
      const int64_t b = task / tasks, first = task % tasks * kBlocksPerTask;
      for (int64_t block = first; block < std::min(blocks, first + kBlocksPerTask); ++block) {
        const PhiloxBlock words = Philox4x32(uint32_t(block), stream, step, uint32_t(sample[b]), seed);
        float four[4];
        if (normal) {
          NormalPair(words.x[0], words.x[1], &four[0], &four[1]);
          NormalPair(words.x[2], words.x[3], &four[2], &four[3]);
        } else {
          for (int i = 0; i < 4; ++i) four[i] = UniformFloat(words.x[i]);
        }
        for (int64_t i = 0; i < std::min<int64_t>(4, size - 4 * block); ++i) out[b * size + 4 * block + i] = four[i];
      }
    });
  }
};

}  // namespace

void AddRandom(OrtCustomOpDomain* domain) { Add<PhiloxOp, float>(domain); }

}  // namespace zigma::ops
