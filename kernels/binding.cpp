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
#include "cpu/pool.h"
#include "cpu/step.h"

using namespace diorama;
using namespace diorama::binding;

namespace {

constexpr int kMaxChannels = 4096;

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

std::vector<std::string> level_names() {
  std::vector<std::string> names;
  for (const Level* level : available_levels()) names.emplace_back(level->name);
  return names;
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
  bind_training(m);
  bind_stereo(m);
  nb::class_<Camera>(m, "Camera");
  nb::class_<Context>(m, "Context");
  m.def("camera", &make_camera);
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
  m.def("sampling_intervals", &sampling_intervals_into);
  m.def("put_columns", &put_columns_into);
}
