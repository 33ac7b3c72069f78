// Photos, the loss and the steps of a training as Python functions.
#include <nanobind/stl/optional.h>
#include <nanobind/stl/unique_ptr.h>
#include <nanobind/stl/vector.h>

#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "binding.h"
#include "cpu/dispatch.h"
#include "cpu/noise.h"
#include "cpu/pool.h"
#include "cpu/step.h"

using namespace diorama;
using namespace diorama::binding;

namespace {

template <class T>
MomentBlocks<T> moment_blocks_of(const Array& first, const Array& second, std::int64_t block_count, const char* wanted) {
  const Shape shape = {block_count, kParameters, kLanes};
  return {data_of<T>(first, "exp_avg", shape, wanted), data_of<T>(second, "exp_avg_sq", shape, wanted)};
}

// The first one's kind decides: float32, or bfloat16 as unsigned numbers, which NumPy knows no other way.
AdamMoments adam_moments_of(const Array& first, const Array& second, std::size_t block_count) {
  const auto count = static_cast<std::int64_t>(block_count);
  AdamMoments moments;
  if (first.dtype() == nb::dtype<BFloat>())
    moments.half = moment_blocks_of<BFloat>(first, second, count, "uint16(B, 59, 16) like blocks and exp_avg");
  else
    moments.full = moment_blocks_of<float>(first, second, count, "float32(B, 59, 16) like blocks, or uint16");
  return moments;
}

std::unique_ptr<Photo> make_photo(const Input& rgb, const std::optional<Input>& mask, const std::optional<Input>& depth,
                                  const std::optional<Input>& confidence, const std::optional<Input>& empty,
                                  const std::optional<Input>& row_weights, bool keep) {
  PhotoBytes photo;
  photo.rgb = data_of<const std::uint8_t>(rgb, "rgb", {-1, -1, 3}, "uint8(H, W, 3)");
  const auto h = static_cast<std::int64_t>(rgb.shape(0)), w = static_cast<std::int64_t>(rgb.shape(1));
  if (h < 1 || w < 1 || h > kMaxSize || w > kMaxSize)
    throw nb::value_error("a photo's sides must be 1 to 16000 pixels");
  photo.width = static_cast<int>(w), photo.height = static_cast<int>(h);
  const auto bytes = [&](const std::optional<Input>& a, const char* name) {
    return a ? data_of<const std::uint8_t>(*a, name, {h, w}, "uint8(H, W) of the photo's size") : nullptr;
  };
  const auto floats = [&](const std::optional<Input>& a, const char* name) {
    return a ? data_of<const float>(*a, name, {h, w}, "float32(H, W) of the photo's size") : nullptr;
  };
  photo.mask = bytes(mask, "mask"), photo.empty = bytes(empty, "empty");
  photo.depth = floats(depth, "depth"), photo.confidence = floats(confidence, "confidence");
  if (row_weights) photo.row_weights = data_of<const float>(*row_weights, "row_weights", {h}, "float32(H,)");
  return std::make_unique<Photo>(photo, keep);
}

std::vector<double> geometry_loss_into(const Input& depth, const Input& alpha, Photo& photo, float depth_weight,
                                       float empty_weight, const Array& d_depth, const Array& d_alpha) {
  const std::int64_t h = photo.height(), w = photo.width();
  const auto* depths = data_of<const float>(depth, "depth", {h, w}, "float32(H, W) of the photo's size");
  const auto* alphas = data_of<const float>(alpha, "alpha", {h, w}, "float32(H, W) of the photo's size");
  float* by_depth = data_of<float>(d_depth, "d_depth", {h, w}, "float32(H, W)");
  float* by_alpha = data_of<float>(d_alpha, "d_alpha", {h, w}, "float32(H, W)");
  nb::gil_scoped_release release;
  Turn turn;
  WorkspaceLoan ws;
  const Level& level = current_level();
  const PhotoPlanes& planes = photo.planes(level, turn.pool());
  fit_planes(*ws, photo.width(), photo.height(), true);
  write_planes(ws->layout, depths, 1, ws->depth.data());
  write_planes(ws->layout, alphas, 1, ws->left.data());
  for (std::int64_t y = 0; y < h; ++y)
    for (std::int64_t x = 0; x < w; ++x) {
      float& left = ws->left[ws->layout.at(static_cast<int>(x), static_cast<int>(y))];
      left = 1.f - left;
    }
  Loss loss;
  level.geometry_loss(*ws, turn.pool(), planes, depth_weight, empty_weight, loss);
  read_planes(ws->layout, ws->d_depth.data(), 1, by_depth);
  read_planes(ws->layout, ws->d_left.data(), 1, by_alpha);
  for (std::int64_t i = 0; i < h * w; ++i) by_alpha[i] = -by_alpha[i];
  return {loss.depth, loss.empty};
}

double photo_loss_into(const Input& rgb, Photo& photo, float ssim_weight, const Array& d_rgb) {
  const std::int64_t h = photo.height(), w = photo.width();
  const auto* picture = data_of<const float>(rgb, "rgb", {h, w, 3}, "float32(H, W, 3) of the photo's size");
  float* gradient = data_of<float>(d_rgb, "d_rgb", {h, w, 3}, "float32(H, W, 3)");
  nb::gil_scoped_release release;
  Turn turn;
  WorkspaceLoan ws;
  const Level& level = current_level();
  const PhotoPlanes& planes = photo.planes(level, turn.pool());
  fit_planes(*ws, photo.width(), photo.height(), false);
  write_planes(ws->layout, picture, 3, ws->image.data());
  if (planes.masked) hide_masked(*ws, planes);
  const Loss loss = level.photo_loss(*ws, turn.pool(), planes, ssim_weight);
  read_planes(ws->layout, ws->d_image.data(), 3, gradient);
  return loss.total;
}

struct StepResult {
  double loss = 0, l1 = 0, ssim = 0, depth = 0, empty = 0;
  int visible = 0;
  std::size_t pairs = 0;
  std::vector<double> phase_ms, d_camera, d_exposure;   // the gradients are empty unless asked for
};

StepResult result_of(const Loss& loss, const Workspace& ws, const Shot& shot, const StepOptions& options) {
  StepResult result;
  result.loss = loss.total, result.l1 = loss.l1, result.ssim = loss.ssim;
  result.depth = loss.depth, result.empty = loss.empty;
  result.visible = ws.visible_count, result.pairs = ws.pairs;
  result.phase_ms.assign(ws.phase_ms, ws.phase_ms + kPhases);
  if (options.pose_gradient) result.d_camera.assign(ws.d_camera, ws.d_camera + 6);
  if (shot.exposure) result.d_exposure.assign(shot.d_exposure, shot.d_exposure + 12);
  return result;
}

Shot shot_of(const Camera& camera, Photo& photo, std::int64_t count, const std::optional<Input>& smoothing,
             const std::optional<Input>& opacity_factors, const std::optional<Input>& exposure) {
  if (photo.width() != camera.width || photo.height() != camera.height)
    throw nb::value_error("the photo's size is not the view's");
  Shot shot;
  shot.camera = camera;
  shot.photo = &photo;
  shot.smoothing = smoothing_of(smoothing, count);
  if (opacity_factors)
    shot.opacity_factors = data_of<const float>(*opacity_factors, "opacity_factors", {count}, "float32(count,)");
  if (exposure) shot.exposure = data_of<const float>(*exposure, "exposure", {3, 4}, "float32(3, 4)");
  return shot;
}

Statistics statistics_of(std::int64_t count, const std::optional<Array>& gradient_norms,
                         const std::optional<Array>& views, const std::optional<Array>& max_radii,
                         const std::optional<Array>& abs_gradient_norms) {
  Statistics statistics;
  if (gradient_norms && views && max_radii) {
    statistics.gradient_norms = data_of<float>(*gradient_norms, "gradient_norms", {count}, "float32(count,)");
    statistics.views = data_of<float>(*views, "views", {count}, "float32(count,)");
    statistics.max_radii = data_of<float>(*max_radii, "max_radii_px", {count}, "float32(count,)");
  }
  if (abs_gradient_norms)
    statistics.abs_gradient_norms =
        data_of<float>(*abs_gradient_norms, "abs_gradient_norms", {count}, "float32(count,)");
  return statistics;
}

StepResult train_step_in_place(const Array& blocks, const Array& exp_avg, const Array& exp_avg_sq, std::int64_t count,
                               const Camera& camera, Photo& photo, const StepOptions& options,
                               const std::optional<Array>& gradient_norms, const std::optional<Array>& views,
                               const std::optional<Array>& max_radii,
                               const std::optional<Array>& abs_gradient_norms, const std::optional<Input>& smoothing,
                               const std::optional<Input>& opacity_factors, const std::optional<Input>& exposure) {
  const Splats splats = splats_of(blocks_of(blocks, "blocks", SIZE_MAX), blocks.shape(0), count, options.sh_degree);
  const AdamMoments moments = adam_moments_of(exp_avg, exp_avg_sq, blocks.shape(0));
  if (options.adam.step < 1) throw nb::value_error("step counts from 1");
  Shot shot = shot_of(camera, photo, count, smoothing, opacity_factors, exposure);
  const Statistics statistics = statistics_of(count, gradient_norms, views, max_radii, abs_gradient_norms);
  nb::gil_scoped_release release;
  Turn turn;
  WorkspaceLoan ws;
  ws.spoil();
  const Loss loss = train_step(*ws, turn.pool(), current_level(), splats, moments, shot, options, statistics);
  ws.keep();
  return result_of(loss, *ws, shot, options);
}

StepResult accumulate_in_place(const Array& gradients, const Array& seen, const Input& blocks, std::int64_t count,
                               const Camera& camera, Photo& photo, const StepOptions& options,
                               const std::optional<Array>& gradient_norms, const std::optional<Array>& views,
                               const std::optional<Array>& max_radii,
                               const std::optional<Array>& abs_gradient_norms, const std::optional<Input>& smoothing,
                               const std::optional<Input>& opacity_factors, const std::optional<Input>& exposure) {
  const Splats splats = splats_of(blocks_of(blocks, "blocks", SIZE_MAX), blocks.shape(0), count, options.sh_degree);
  float* sums = blocks_of(gradients, "gradients", blocks.shape(0));
  const auto lanes = static_cast<std::int64_t>(blocks.shape(0)) * kLanes;
  auto* flags = data_of<std::uint8_t>(seen, "seen", {lanes}, "uint8(B * 16,)");
  Shot shot = shot_of(camera, photo, count, smoothing, opacity_factors, exposure);
  const Statistics statistics = statistics_of(count, gradient_norms, views, max_radii, abs_gradient_norms);
  nb::gil_scoped_release release;
  Turn turn;
  WorkspaceLoan ws;
  ws.spoil();
  const Loss loss = accumulate_step(*ws, turn.pool(), current_level(), splats, sums, flags, shot, options, statistics);
  ws.keep();
  return result_of(loss, *ws, shot, options);
}

void apply_in_place(const Array& blocks, const Array& exp_avg, const Array& exp_avg_sq, const Array& gradients,
                    const Array& seen, std::int64_t count, int views, const StepOptions& options) {
  const Splats splats = splats_of(blocks_of(blocks, "blocks", SIZE_MAX), blocks.shape(0), count, options.sh_degree);
  const AdamMoments moments = adam_moments_of(exp_avg, exp_avg_sq, blocks.shape(0));
  float* sums = blocks_of(gradients, "gradients", blocks.shape(0));
  const auto lanes = static_cast<std::int64_t>(blocks.shape(0)) * kLanes;
  auto* flags = data_of<std::uint8_t>(seen, "seen", {lanes}, "uint8(B * 16,)");
  if (options.adam.step < 1) throw nb::value_error("step counts from 1");
  if (views < 1) throw nb::value_error("views is the number of views added up, at least 1");
  nb::gil_scoped_release release;
  Turn turn;
  apply_step(turn.pool(), current_level(), splats, moments, sums, flags, views, options);
}

void add_noise(const Array& blocks, std::int64_t count, float amount, std::uint64_t seed, std::uint64_t step) {
  const Splats splats = splats_of(blocks_of(blocks, "blocks", SIZE_MAX), blocks.shape(0), count, 3);
  nb::gil_scoped_release release;
  Turn turn;
  add_mcmc_noise(splats, turn.pool(), amount, seed, step);
}

std::vector<std::uint32_t> philox_words(std::uint32_t c0, std::uint32_t c1, std::uint32_t c2, std::uint32_t c3,
                                        std::uint64_t key) {
  const std::uint32_t counter[4] = {c0, c1, c2, c3};
  const Philox random = philox(counter, key);
  return {random.words, random.words + 4};
}

void bind_options(nb::module_& m) {
  nb::class_<StepOptions>(m, "StepOptions")
      .def(nb::init<>())
      .def_prop_rw("step", [](StepOptions& o) { return o.adam.step; }, [](StepOptions& o, int v) { o.adam.step = v; })
      .def("set_learning_rates",
           [](StepOptions& o, float means, float quats, float log_scales, float opacities, float sh0, float sh_rest) {
             o.adam.lr_means = means, o.adam.lr_quats = quats, o.adam.lr_log_scales = log_scales;
             o.adam.lr_opacities = opacities, o.adam.lr_sh0 = sh0, o.adam.lr_sh_rest = sh_rest;
           })
      .def("set_adam", [](StepOptions& o, float beta1, float beta2, float epsilon, bool dense) {
        o.adam.beta1 = beta1, o.adam.beta2 = beta2, o.adam.epsilon = epsilon, o.adam.dense = dense;
      })
      .def("set_loss", [](StepOptions& o, float ssim_weight, float opacity_reg, float scale_reg, float needle_reg,
                          float log_needle) {
        o.ssim_weight = ssim_weight, o.adam.opacity_reg = opacity_reg, o.adam.scale_reg = scale_reg;
        o.adam.needle_reg = needle_reg, o.adam.log_needle = log_needle;
      })
      .def("set_geometry_loss", [](StepOptions& o, float depth_weight, float empty_weight) {
        o.depth_weight = depth_weight, o.empty_weight = empty_weight;
      })
      .def("set_background", [](StepOptions& o, float red, float green, float blue) {
        o.background[0] = red, o.background[1] = green, o.background[2] = blue;
      })
      .def_rw("sh_degree", &StepOptions::sh_degree)
      .def_rw("deterministic", &StepOptions::deterministic)
      .def_rw("tight_tiles", &StepOptions::tight_tiles)
      .def_rw("antialiased", &StepOptions::antialiased)
      .def_rw("low_pass", &StepOptions::low_pass)
      .def_rw("pose_gradient", &StepOptions::pose_gradient);
  nb::class_<StepResult>(m, "StepResult")
      .def_ro("loss", &StepResult::loss)
      .def_ro("l1", &StepResult::l1)
      .def_ro("ssim", &StepResult::ssim)
      .def_ro("depth", &StepResult::depth)
      .def_ro("empty", &StepResult::empty)
      .def_ro("visible", &StepResult::visible)
      .def_ro("pairs", &StepResult::pairs)
      .def_ro("phase_ms", &StepResult::phase_ms)
      .def_ro("d_camera", &StepResult::d_camera)
      .def_ro("d_exposure", &StepResult::d_exposure);
}

}  // namespace

void diorama::binding::bind_training(nb::module_& m) {
  bind_options(m);
  nb::class_<Photo>(m, "Photo");
  m.def("photo", &make_photo, nb::arg("rgb"), nb::arg("mask").none(), nb::arg("depth").none(),
        nb::arg("confidence").none(), nb::arg("empty").none(),
        nb::arg("row_weights").none(), nb::arg("keep"));
  m.def("photo_loss", &photo_loss_into);
  m.def("geometry_loss", &geometry_loss_into);
  m.def("train_step", &train_step_in_place, nb::arg("blocks"), nb::arg("exp_avg"), nb::arg("exp_avg_sq"),
        nb::arg("count"), nb::arg("camera"), nb::arg("photo"), nb::arg("options"), nb::arg("gradient_norms").none(),
        nb::arg("views").none(), nb::arg("max_radii").none(), nb::arg("abs_gradient_norms").none(),
        nb::arg("smoothing").none(), nb::arg("opacity_factors").none(), nb::arg("exposure").none());
  m.def("accumulate_step", &accumulate_in_place, nb::arg("gradients"), nb::arg("seen"), nb::arg("blocks"),
        nb::arg("count"), nb::arg("camera"), nb::arg("photo"), nb::arg("options"), nb::arg("gradient_norms").none(),
        nb::arg("views").none(), nb::arg("max_radii").none(), nb::arg("abs_gradient_norms").none(),
        nb::arg("smoothing").none(), nb::arg("opacity_factors").none(), nb::arg("exposure").none());
  m.def("apply_step", &apply_in_place);
  m.def("add_mcmc_noise", &add_noise);
  m.def("philox", &philox_words);
}
