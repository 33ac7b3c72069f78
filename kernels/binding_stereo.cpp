// Multi-view stereo as Python functions.
#include <nanobind/stl/optional.h>
#include <nanobind/stl/vector.h>

#include <optional>
#include <vector>

#include "binding.h"
#include "cpu/dispatch.h"
#include "cpu/pool.h"

namespace diorama::binding {
namespace {

constexpr std::int64_t kMaxPixels = 1 << 24;   // places in a picture are floats in the kernels

void matrix_of(const Input& matrix, const char* name, float* warp, float* shift) {
  const auto* m = data_of<const float>(matrix, name, {3, 4}, "float32(3, 4)");
  for (int i = 0; i < 3; ++i) {
    for (int k = 0; k < 3; ++k) warp[i * 3 + k] = m[i * 4 + k];
    shift[i] = m[i * 4 + 3];
  }
}

void require_size(std::int64_t height, std::int64_t width) {
  if (height < 1 || width < 1 || height * width > kMaxPixels)
    throw nb::value_error("a picture for stereo has 1 to 16 million pixels");
}

// The arrays are held on to by the view.
struct View {
  StereoView view;
  Input quads;
  std::optional<Input> inverse_depth;
};

View make_view(const Input& quads, const Input& warp, const std::optional<Input>& inverse_depth,
               const std::optional<Input>& back) {
  View v;
  v.quads = quads;
  v.view.quads = data_of<const std::uint32_t>(quads, "quads", {-1, -1}, "uint32(h, w)");
  const auto h = static_cast<std::int64_t>(quads.shape(0)), w = static_cast<std::int64_t>(quads.shape(1));
  require_size(h, w);
  v.view.width = static_cast<int>(w), v.view.height = static_cast<int>(h);
  matrix_of(warp, "warp", v.view.warp, v.view.shift);
  if (inverse_depth.has_value() != back.has_value())
    throw nb::value_error("a view has both its inverse depth and the way back, or neither");
  if (inverse_depth) {
    v.inverse_depth = inverse_depth;
    v.view.inverse_depth = data_of<const float>(*inverse_depth, "inverse_depth", {h, w}, "float32(h, w) like quads");
    matrix_of(*back, "back", v.view.back_warp, v.view.back_shift);
  }
  return v;
}

StereoField field_of(const Array& planes, const Array& cost, const Array& view_costs, std::int64_t h, std::int64_t w,
                     std::int64_t views) {
  StereoField f;
  f.planes = data_of<float>(planes, "planes", {3, h, w}, "float32(3, H, W)");
  f.cost = data_of<float>(cost, "cost", {h, w}, "float32(H, W)");
  f.view_costs = data_of<float>(view_costs, "view_costs", {views, h, w}, "float32(V, H, W)");
  return f;
}

void set_tables(StereoJob& job, const Input& samples, const Input& regions) {
  job.samples = data_of<const std::int32_t>(samples, "samples", {-1, 2}, "int32(K, 2)");
  job.sample_count = static_cast<int>(samples.shape(0));
  job.regions = data_of<const std::int32_t>(regions, "regions", {-1, -1, 2}, "int32(R, O, 2)");
  job.region_count = static_cast<int>(regions.shape(0)), job.region_size = static_cast<int>(regions.shape(1));
  if (job.sample_count < 1 || job.sample_count > kMaxStereoSamples)
    throw nb::value_error("a window has 1 to 128 samples");
  if (job.region_count > kMaxStereoOffsets || job.region_size < 1 || job.region_size > kMaxStereoOffsets)
    throw nb::value_error("there are at most 64 regions of 1 to 64 offsets");
  for (int i = 0; i < 2 * job.sample_count; ++i)
    if (job.samples[i] < -job.pad || job.samples[i] > job.pad)
      throw nb::value_error("the window reaches farther than the padding of gray");
}

void sweep(const Input& gray, int pad, const std::optional<Input>& keep, const std::vector<View*>& views,
           const Input& samples, const Input& regions, const StereoOptions& options, const Array& planes,
           const Array& cost, const Array& view_costs, const Array& new_planes, const Array& new_cost,
           const Array& new_view_costs) {
  StereoJob job;
  job.gray = data_of<const float>(gray, "gray", {-1, -1}, "float32(H + 2 pad, W + 2 pad + 16)");
  const std::int64_t rows = static_cast<std::int64_t>(gray.shape(0)), stride = static_cast<std::int64_t>(gray.shape(1));
  if (pad < 0 || pad > 256) throw nb::value_error("pad must be 0 to 256");
  const std::int64_t h = rows - 2 * pad, w = stride - 2 * pad - 16;
  require_size(h, w);
  job.width = static_cast<int>(w), job.height = static_cast<int>(h);
  job.stride = static_cast<int>(stride), job.pad = pad;
  if (keep) job.keep = data_of<const std::uint8_t>(*keep, "keep", {h, w}, "uint8(H, W)");
  if (views.empty() || views.size() > kMaxStereoViews) throw nb::value_error("stereo takes 1 to 16 views");
  std::vector<StereoView> seen;
  for (const View* view : views) seen.push_back(view->view);
  job.views = seen.data(), job.view_count = static_cast<int>(seen.size());
  set_tables(job, samples, regions);
  const auto count = static_cast<std::int64_t>(seen.size());
  job.from = field_of(planes, cost, view_costs, h, w, count);
  job.to = field_of(new_planes, new_cost, new_view_costs, h, w, count);
  if (job.from.planes == job.to.planes || job.from.cost == job.to.cost || job.from.view_costs == job.to.view_costs)
    throw nb::value_error("a sweep cannot write over what it reads");
  if (!(options.rho_low > 0.f && options.rho_low <= options.rho_high && options.rho_high < 1e30f))
    throw nb::value_error("inverse depths need a range above 0");
  if (!(options.focal > 0.f) || !(options.color_sigma > 0.f) || !(options.space_sigma > 0.f) || !(options.noise > 0.f))
    throw nb::value_error("focal, color_sigma, space_sigma and noise must be above 0");
  job.options = options;
  nb::gil_scoped_release release;
  Turn turn;
  current_level().stereo.sweep(turn.pool(), job);
}

}  // namespace

void bind_stereo(nb::module_& m) {
  nb::class_<View>(m, "StereoView");
  nb::class_<StereoOptions>(m, "StereoOptions")
      .def(nb::init<>())
      .def_rw("rho_low", &StereoOptions::rho_low)
      .def_rw("rho_high", &StereoOptions::rho_high)
      .def_rw("focal", &StereoOptions::focal)
      .def_rw("step_rho", &StereoOptions::step_rho)
      .def_rw("step_slope", &StereoOptions::step_slope)
      .def_rw("color_sigma", &StereoOptions::color_sigma)
      .def_rw("space_sigma", &StereoOptions::space_sigma)
      .def_rw("noise", &StereoOptions::noise)
      .def_rw("geometric_weight", &StereoOptions::geometric_weight)
      .def_rw("refinements", &StereoOptions::refinements)
      .def_rw("fresh", &StereoOptions::fresh)
      .def_rw("seed", &StereoOptions::seed)
      .def_rw("sweep", &StereoOptions::sweep);
  m.def("stereo_view", &make_view, nb::arg("quads"), nb::arg("warp"), nb::arg("inverse_depth").none(),
        nb::arg("back").none());
  m.def("stereo_sweep", &sweep, nb::arg("gray"), nb::arg("pad"), nb::arg("keep").none(), nb::arg("views"),
        nb::arg("samples"), nb::arg("regions"), nb::arg("options"), nb::arg("planes"), nb::arg("cost"),
        nb::arg("view_costs"), nb::arg("new_planes"), nb::arg("new_cost"), nb::arg("new_view_costs"));
}

}  // namespace diorama::binding
