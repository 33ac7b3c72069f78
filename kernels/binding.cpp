// The native kernels as Python functions: arrays are checked here, then everything runs without the GIL.
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/unique_ptr.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "binding.h"
#include "cpu/blocks.h"
#include "cpu/dispatch.h"
#include "cpu/noise.h"
#include "cpu/pool.h"
#include "cpu/step.h"

using namespace diorama;
using namespace diorama::binding;

namespace {

constexpr int kMaxChannels = 4096;

template <class A>
float* blocks_of(const A& blocks, const char* name, std::size_t block_count) {
  return const_cast<float*>(data_of<const float>(
      blocks, name, {block_count == SIZE_MAX ? -1 : static_cast<std::int64_t>(block_count), kParameters, kLanes},
      block_count == SIZE_MAX ? "float32(B, 59, 16)" : "float32(B, 59, 16) like blocks"));
}

template <class T>
MomentBlocks<T> moment_blocks_of(const Array& first, const Array& second, std::int64_t block_count, const char* wanted) {
  const auto data = [&](const Array& a, const char* name) { return data_of<T>(a, name, {block_count, kParameters, kLanes}, wanted); };
  return {data(first, "exp_avg"), data(second, "exp_avg_sq")};
}

// The first one's kind decides: float32, or bfloat16 as unsigned numbers, which NumPy knows no other way.
Moments moments_of(const Array& first, const Array& second, std::size_t block_count) {
  const auto count = static_cast<std::int64_t>(block_count);
  Moments moments;
  if (first.dtype() == nb::dtype<BFloat>())
    moments.half = moment_blocks_of<BFloat>(first, second, count, "uint16(B, 59, 16) like blocks and exp_avg");
  else
    moments.full = moment_blocks_of<float>(first, second, count, "float32(B, 59, 16) like blocks, or uint16");
  return moments;
}

Splats splats_of(float* blocks, std::size_t block_count, std::int64_t count, int degree) {
  if (count < 0 || count > static_cast<std::int64_t>(block_count) * kLanes)
    throw nb::value_error(("count is " + std::to_string(count) + ", but blocks hold 0 to " +
                           std::to_string(block_count * kLanes) + " splats").c_str());
  if (count > (1 << 26)) throw nb::value_error("more than 67 million splats");
  if (degree < 0 || degree > 3) throw nb::value_error("sh_degree must be 0 to 3");
  Splats s;
  s.blocks = blocks;
  s.count = static_cast<int>(count);
  s.degree = degree;
  return s;
}

Lens lens_of(const std::string& model) {
  if (model == "pinhole") return Lens::kPinhole;
  if (model == "opencv") return Lens::kOpenCv;
  if (model == "fisheye") return Lens::kFisheye;
  if (model == "equirectangular") return Lens::kEquirectangular;
  throw nb::value_error(("no lens is called " + model).c_str());
}

Camera make_camera(int width, int height, float fx, float fy, float cx, float cy, const Input& cam_from_world,
                   const std::string& model, const std::vector<float>& distortion, float limit, float hold) {
  if (width < 1 || height < 1 || width > kMaxSize || height > kMaxSize)
    throw nb::value_error("a picture's sides must be 1 to 16000 pixels");
  const auto* m = data_of<const float>(cam_from_world, "cam_from_world", {3, 4}, "float32(3, 4)");
  Camera c;
  c.width = width, c.height = height, c.fx = fx, c.fy = fy, c.cx = cx, c.cy = cy;
  for (int i = 0; i < 3; ++i) {
    for (int k = 0; k < 3; ++k) c.rotation[i * 3 + k] = m[i * 4 + k];
    c.translation[i] = m[i * 4 + 3];
  }
  c.lens = lens_of(model);
  if (distortion.size() > 8) throw nb::value_error("a lens has at most 8 coefficients of distortion");
  for (std::size_t i = 0; i < distortion.size(); ++i) c.distortion[i] = distortion[i];
  c.limit = limit, c.hold = hold;
  return c;
}

const float* smoothing_of(const std::optional<Input>& smoothing, std::int64_t count) {
  return smoothing ? data_of<const float>(*smoothing, "smoothing", {count}, "float32(count,)") : nullptr;
}

// A picture's records and lists, kept for its backward pass. Splats must not change in between.
struct Context {
  WorkspaceLoan workspace;
  const Level& level = current_level();
  Camera camera;
  int count = 0, degree = 3;
};

std::unique_ptr<Context> render_into(const Input& blocks, std::int64_t count, const Camera& camera, int degree,
                                     float red, float green, float blue, const Array& rgb, const Array& alpha,
                                     const Array& depth, bool antialiased, float low_pass,
                                     const std::optional<Input>& smoothing) {
  const Splats splats = splats_of(blocks_of(blocks, "blocks", SIZE_MAX), blocks.shape(0), count, degree);
  const std::int64_t h = camera.height, w = camera.width;
  float* rgb_out = data_of<float>(rgb, "rgb", {h, w, 3}, "float32(H, W, 3)");
  float* alpha_out = data_of<float>(alpha, "alpha", {h, w}, "float32(H, W)");
  float* depth_out = data_of<float>(depth, "depth", {h, w}, "float32(H, W)");
  const Filters filters{antialiased, low_pass, smoothing_of(smoothing, count)};
  nb::gil_scoped_release release;
  auto context = std::make_unique<Context>();
  context->camera = camera;
  context->count = splats.count;
  context->degree = degree;
  const float background[3] = {red, green, blue};
  Turn turn;
  Workspace& ws = *context->workspace;
  context->workspace.spoil();
  render(ws, turn.pool(), context->level, camera, splats, background, true, filters);
  context->workspace.keep();
  read_planes(ws.layout, ws.image.data(), 3, rgb_out);
  read_planes(ws.layout, ws.left.data(), 1, alpha_out);
  for (std::int64_t i = 0; i < h * w; ++i) alpha_out[i] = 1.f - alpha_out[i];
  read_planes(ws.layout, ws.depth.data(), 1, depth_out);
  return context;
}

void visible_of(Context& context, const Array& out) {
  auto* flags = data_of<std::uint8_t>(out, "visible", {context.count}, "uint8(count,)");
  for (int i = 0; i < context.count; ++i) flags[i] = context.workspace->visible[i];
}

void backward_into(Context& context, const Input& blocks, const Input& d_rgb, const std::optional<Input>& d_alpha,
                   const std::optional<Input>& d_depth, const Array& d_blocks, const Array& d_camera,
                   const std::optional<Array>& d_centres, const std::optional<Array>& abs_d_centres) {
  const Splats splats =
      splats_of(blocks_of(blocks, "blocks", SIZE_MAX), blocks.shape(0), context.count, context.degree);
  const std::int64_t h = context.camera.height, w = context.camera.width;
  const auto* rgb = data_of<const float>(d_rgb, "d_rgb", {h, w, 3}, "float32(H, W, 3) like the picture");
  const auto* alpha = d_alpha ? data_of<const float>(*d_alpha, "d_alpha", {h, w}, "float32(H, W) like the picture") : nullptr;
  const auto* depth = d_depth ? data_of<const float>(*d_depth, "d_depth", {h, w}, "float32(H, W) like the picture") : nullptr;
  float* pose = data_of<float>(d_camera, "d_camera", {6}, "float32(6,)");
  PictureGradients out;
  out.splats = blocks_of(d_blocks, "d_blocks", blocks.shape(0));
  const auto pairs = [&](const Array& a, const char* name) {
    return data_of<float>(a, name, {context.count, 2}, "float32(count, 2)");
  };
  if (d_centres) out.centres = pairs(*d_centres, "d_centres");
  if (abs_d_centres) out.abs_centres = pairs(*abs_d_centres, "abs_d_centres");
  nb::gil_scoped_release release;
  Turn turn;
  Workspace& ws = *context.workspace;
  context.workspace.spoil();
  write_planes(ws.layout, rgb, 3, ws.d_image.data());
  set_extra_gradients(ws, alpha, depth);
  render_backward(ws, turn.pool(), context.level, splats, out);
  context.workspace.keep();
  for (int k = 0; k < 6; ++k) pose[k] = static_cast<float>(ws.d_camera[k]);
}

Features features_of(const Input& features, const Context& context) {
  Features f;
  f.values = data_of<const float>(features, "features", {context.count, -1}, "float32(count, C)");
  f.channels = static_cast<int>(features.shape(1));
  if (f.channels > kMaxChannels) throw nb::value_error("features have more than 4096 channels");
  return f;
}

void features_into(Context& context, const Input& values, const Array& picture) {
  const Features features = features_of(values, context);
  const std::int64_t h = context.camera.height, w = context.camera.width;
  float* out = data_of<float>(picture, "picture", {h, w, features.channels}, "float32(H, W, C)");
  nb::gil_scoped_release release;
  Turn turn;
  render_features(*context.workspace, turn.pool(), context.level, features, out);
}

void features_backward_into(Context& context, const Input& blocks, const Input& values, const Input& d_picture,
                            const Array& d_features, const Array& d_blocks, const Array& d_camera,
                            const std::optional<Array>& d_centres) {
  const Splats splats =
      splats_of(blocks_of(blocks, "blocks", SIZE_MAX), blocks.shape(0), context.count, context.degree);
  const Features features = features_of(values, context);
  const std::int64_t h = context.camera.height, w = context.camera.width, c = features.channels;
  const auto* gradient = data_of<const float>(d_picture, "d_picture", {h, w, c}, "float32(H, W, C) like the picture");
  float* by_features = data_of<float>(d_features, "d_features", {context.count, c}, "float32(count, C)");
  float* pose = data_of<float>(d_camera, "d_camera", {6}, "float32(6,)");
  PictureGradients out;
  out.splats = blocks_of(d_blocks, "d_blocks", blocks.shape(0));
  if (d_centres) out.centres = data_of<float>(*d_centres, "d_centres", {context.count, 2}, "float32(count, 2)");
  nb::gil_scoped_release release;
  Turn turn;
  context.workspace.spoil();
  render_features_backward(*context.workspace, turn.pool(), context.level, splats, features, gradient, by_features,
                           out);
  context.workspace.keep();
  for (int k = 0; k < 6; ++k) pose[k] = static_cast<float>(context.workspace->d_camera[k]);
}

void contribution_into(Context& context, const std::optional<Input>& weight_map, const Array& total, const Array& most,
                       const Array& pixels) {
  const std::int64_t h = context.camera.height, w = context.camera.width;
  const auto* map =
      weight_map ? data_of<const float>(*weight_map, "weight_map", {h, w}, "float32(H, W) like the picture") : nullptr;
  ContributionSink out;
  out.total = data_of<float>(total, "total", {context.count}, "float32(count,)");
  out.most = data_of<float>(most, "most", {context.count}, "float32(count,)");
  out.pixels = data_of<std::int32_t>(pixels, "pixels", {context.count}, "int32(count,)");
  nb::gil_scoped_release release;
  Turn turn;
  context.workspace.spoil();
  contribution(*context.workspace, turn.pool(), context.level, context.count, map, out);
  context.workspace.keep();
}

void median_depth_into(Context& context, const Array& picture) {
  const std::int64_t h = context.camera.height, w = context.camera.width;
  float* out = data_of<float>(picture, "picture", {h, w}, "float32(H, W)");
  nb::gil_scoped_release release;
  Turn turn;
  median_depth(*context.workspace, turn.pool(), context.level, out);
}

void ellipses_into(Context& context, const Array& centres, const Array& extents) {
  auto* centre = data_of<float>(centres, "centres", {context.count, 2}, "float32(count, 2)");
  auto* extent = data_of<float>(extents, "extents", {context.count, 2}, "float32(count, 2)");
  for (int i = 0; i < context.count; ++i) {
    if (!context.workspace->visible[i]) continue;
    const Record& r = context.workspace->records[i];
    centre[2 * i] = r.mean_x, centre[2 * i + 1] = r.mean_y;
    extent[2 * i] = r.extent_x, extent[2 * i + 1] = r.extent_y;
  }
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
             const std::optional<Input>& exposure) {
  if (photo.width() != camera.width || photo.height() != camera.height)
    throw nb::value_error("the photo's size is not the view's");
  Shot shot;
  shot.camera = camera;
  shot.photo = &photo;
  shot.smoothing = smoothing_of(smoothing, count);
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
                               const std::optional<Input>& exposure) {
  const Splats splats = splats_of(blocks_of(blocks, "blocks", SIZE_MAX), blocks.shape(0), count, options.sh_degree);
  const Moments moments = moments_of(exp_avg, exp_avg_sq, blocks.shape(0));
  if (options.adam.step < 1) throw nb::value_error("step counts from 1");
  Shot shot = shot_of(camera, photo, count, smoothing, exposure);
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
                               const std::optional<Input>& exposure) {
  const Splats splats = splats_of(blocks_of(blocks, "blocks", SIZE_MAX), blocks.shape(0), count, options.sh_degree);
  float* sums = blocks_of(gradients, "gradients", blocks.shape(0));
  const auto lanes = static_cast<std::int64_t>(blocks.shape(0)) * kLanes;
  auto* flags = data_of<std::uint8_t>(seen, "seen", {lanes}, "uint8(B * 16,)");
  Shot shot = shot_of(camera, photo, count, smoothing, exposure);
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
  const Moments moments = moments_of(exp_avg, exp_avg_sq, blocks.shape(0));
  float* sums = blocks_of(gradients, "gradients", blocks.shape(0));
  const auto lanes = static_cast<std::int64_t>(blocks.shape(0)) * kLanes;
  auto* flags = data_of<std::uint8_t>(seen, "seen", {lanes}, "uint8(B * 16,)");
  if (options.adam.step < 1) throw nb::value_error("step counts from 1");
  if (views < 1) throw nb::value_error("views is the number of views added up, at least 1");
  nb::gil_scoped_release release;
  Turn turn;
  apply_step(turn.pool(), current_level(), splats, moments, sums, flags, views, options);
}

void sampling_intervals_into(const Input& blocks, std::int64_t count, const std::vector<Camera>& cameras,
                             const Array& out) {
  const Splats splats = splats_of(blocks_of(blocks, "blocks", SIZE_MAX), blocks.shape(0), count, 0);
  float* intervals = data_of<float>(out, "intervals", {count}, "float32(count,)");
  nb::gil_scoped_release release;
  Turn turn;
  Scratch<float> padded;
  current_level().sampling_intervals(turn.pool(), splats, cameras.data(), static_cast<int>(cameras.size()), padded);
  std::copy_n(padded.data(), count, intervals);
}

void put_columns_into(const Array& blocks, const Input& table, int first) {
  float* parameters = blocks_of(blocks, "blocks", SIZE_MAX);
  const auto* values = data_of<const float>(table, "table", {-1, -1}, "float32(N, width)");
  const auto count = static_cast<std::int64_t>(table.shape(0)), width = static_cast<std::int64_t>(table.shape(1));
  const Splats splats = splats_of(parameters, blocks.shape(0), count, 3);
  if (first < 0 || width < 1 || first + width > kParameters)
    throw nb::value_error("there are 59 parameters, and a table's columns must be some of them");
  nb::gil_scoped_release release;
  Turn turn;
  put_columns(values, static_cast<int>(width), first, splats, turn.pool());
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

std::vector<std::string> level_names() {
  std::vector<std::string> names;
  for (const Level* level : available_levels()) names.emplace_back(level->name);
  return names;
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

void bind_machine(nb::module_& m) {
  m.def("simd_level", [] { return std::string(current_level().name); });
  m.def("simd_levels", &level_names);
  m.def("set_simd_level", &set_level);
  m.def("thread_count", &thread_count);
  m.def("set_thread_count", &set_thread_count);
  m.def("photo_memory", &photo_memory);
  m.def("set_photo_memory", &set_photo_memory);
  m.def("photo_preparations", &photo_preparations);
  m.def("free_workspaces", &free_workspaces);
}

}  // namespace

NB_MODULE(_native, m) {
  bind_machine(m);
  bind_options(m);
  bind_stereo(m);
  nb::class_<Camera>(m, "Camera");
  nb::class_<Context>(m, "Context");
  nb::class_<Photo>(m, "Photo");
  m.def("camera", &make_camera);
  m.def("photo", &make_photo, nb::arg("rgb"), nb::arg("mask").none(), nb::arg("depth").none(),
        nb::arg("confidence").none(), nb::arg("empty").none(),
        nb::arg("row_weights").none(), nb::arg("keep"));
  m.def("render", &render_into, nb::arg("blocks"), nb::arg("count"), nb::arg("camera"), nb::arg("sh_degree"),
        nb::arg("red"), nb::arg("green"), nb::arg("blue"), nb::arg("rgb"), nb::arg("alpha"), nb::arg("depth"),
        nb::arg("antialiased"), nb::arg("low_pass"), nb::arg("smoothing").none());
  m.def("visible", &visible_of);
  m.def("render_backward", &backward_into, nb::arg("context"), nb::arg("blocks"), nb::arg("d_rgb"),
        nb::arg("d_alpha").none(), nb::arg("d_depth").none(), nb::arg("d_blocks"), nb::arg("d_camera"),
        nb::arg("d_centres").none(), nb::arg("abs_d_centres").none());
  m.def("render_features", &features_into);
  m.def("render_features_backward", &features_backward_into, nb::arg("context"), nb::arg("blocks"),
        nb::arg("features"), nb::arg("d_picture"), nb::arg("d_features"), nb::arg("d_blocks"), nb::arg("d_camera"),
        nb::arg("d_centres").none());
  m.def("contribution", &contribution_into, nb::arg("context"), nb::arg("weight_map").none(), nb::arg("total"),
        nb::arg("most"), nb::arg("pixels"));
  m.def("median_depth", &median_depth_into);
  m.def("ellipses", &ellipses_into);
  m.def("photo_loss", &photo_loss_into);
  m.def("geometry_loss", &geometry_loss_into);
  m.def("train_step", &train_step_in_place, nb::arg("blocks"), nb::arg("exp_avg"), nb::arg("exp_avg_sq"),
        nb::arg("count"), nb::arg("camera"), nb::arg("photo"), nb::arg("options"), nb::arg("gradient_norms").none(),
        nb::arg("views").none(), nb::arg("max_radii").none(), nb::arg("abs_gradient_norms").none(),
        nb::arg("smoothing").none(), nb::arg("exposure").none());
  m.def("accumulate_step", &accumulate_in_place, nb::arg("gradients"), nb::arg("seen"), nb::arg("blocks"),
        nb::arg("count"), nb::arg("camera"), nb::arg("photo"), nb::arg("options"), nb::arg("gradient_norms").none(),
        nb::arg("views").none(), nb::arg("max_radii").none(), nb::arg("abs_gradient_norms").none(),
        nb::arg("smoothing").none(), nb::arg("exposure").none());
  m.def("apply_step", &apply_in_place);
  m.def("sampling_intervals", &sampling_intervals_into);
  m.def("add_mcmc_noise", &add_noise);
  m.def("put_columns", &put_columns_into);
  m.def("philox", &philox_words);
}
