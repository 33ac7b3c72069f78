#include "step.h"

#include <chrono>
#include <cstring>
#include <mutex>
#include <vector>

#include "sort.h"

namespace diorama {
namespace {

constexpr std::size_t kIdleWorkspaces = 2;

struct Idle {
  std::mutex mutex;
  std::vector<std::unique_ptr<Workspace>> workspaces;
};
Idle& idle() {
  static Idle* workspaces = new Idle;   // loans may outlive static objects
  return *workspaces;
}

class PhaseClock {
 public:
  explicit PhaseClock(double* ms) : ms_(ms), last_(Clock::now()) {}
  void done(Phase phase) {
    const auto now = Clock::now();
    ms_[phase] = std::chrono::duration<double, std::milli>(now - last_).count();
    last_ = now;
  }

 private:
  using Clock = std::chrono::steady_clock;
  double* ms_;
  Clock::time_point last_;
};

void fit_plane(Scratch<float>& plane, std::size_t floats, bool clear) {
  plane.reserve(floats);
  if (clear) std::memset(plane.data(), 0, floats * sizeof(float));
}

// A copy, because the backward pass needs it again and registers are read whole.
void take_filters(Workspace& ws, const Splats& splats, const Filters& filters) {
  ws.antialiased = filters.antialiased;
  ws.low_pass = filters.low_pass;
  const auto take = [&](Scratch<float>& column, const float* values) {
    if (!values) return false;
    const std::size_t count = splats.count, padded = static_cast<std::size_t>(splats.block_count()) * kLanes;
    column.reserve(padded);
    std::memcpy(column.data(), values, count * sizeof(float));
    for (std::size_t i = count; i < padded; ++i) column[i] = 0;
    return true;
  };
  ws.smoothed = take(ws.smoothing, filters.smoothing);
  ws.weighed = take(ws.factors, filters.opacity_factors);
}

void draw(Workspace& ws, Pool& pool, const Level& level, const Camera& camera, const Splats& splats,
          const float* background, const float* kept, bool with_depth, const Filters& filters, PhaseClock& clock) {
  fit_planes(ws, camera.width, camera.height, with_depth);
  take_filters(ws, splats, filters);
  ws.camera = camera;
  ws.tiles_x = (camera.width + level.tile_width - 1) / level.tile_width;
  ws.tiles_y = (camera.height + level.tile_height - 1) / level.tile_height;
  level.project(ws, pool, splats);
  clock.done(kProject);
  sort_by_depth(ws, pool, splats.count);
  clock.done(kSort);
  level.bin(ws, pool);
  clock.done(kBin);
  level.forward(ws, pool, with_depth, background, kept);
  clock.done(kForward);
}

// The loss of ws.image and its gradient, the shot's exposure in between where it has one.
Loss compare(Workspace& ws, Pool& pool, const Level& level, const PhotoPlanes& planes, Shot& shot, float ssim_weight) {
  if (!shot.exposure) return level.photo_loss(ws, pool, planes, ssim_weight);
  level.expose(ws, pool, shot.exposure, planes.masked ? planes.kept.data() : nullptr);
  ws.image.swap(ws.exposed);
  const Loss loss = level.photo_loss(ws, pool, planes, ssim_weight);
  ws.image.swap(ws.exposed);
  level.expose_backward(ws, pool, shot.exposure, shot.d_exposure);
  return loss;
}

// A step up to and including what `sink` does with the gradients.
Loss learn(Workspace& ws, Pool& pool, const Level& level, Splats splats, Shot& shot, const StepOptions& options,
           const Statistics& statistics, GradientSink& sink) {
  splats.degree = options.sh_degree;
  ws.tight_tiles = options.tight_tiles;
  const PhotoPlanes& planes = shot.photo->planes(level, pool);
  const bool with_geometry =
      (options.depth_weight > 0 && planes.depth_count) || (options.empty_weight > 0 && planes.empty_count);
  PhaseClock clock(ws.phase_ms);
  draw(ws, pool, level, shot.camera, splats, options.background, planes.masked ? planes.kept.data() : nullptr,
       with_geometry, {options.antialiased, options.low_pass, shot.smoothing, shot.opacity_factors}, clock);
  Loss loss = compare(ws, pool, level, planes, shot, options.ssim_weight);
  if (with_geometry) level.geometry_loss(ws, pool, planes, options.depth_weight, options.empty_weight, loss);
  clock.done(kLossPhase);
  level.backward(ws, pool, splats.count, with_geometry, statistics.abs_gradient_norms != nullptr, options.deterministic);
  clock.done(kBackward);
  sink.gradient_norms = statistics.gradient_norms;
  sink.abs_gradient_norms = statistics.abs_gradient_norms;
  sink.views = statistics.views;
  sink.max_radii = statistics.max_radii;
  sink.pose_gradient = options.pose_gradient;
  level.update(ws, pool, splats, sink);
  clock.done(kUpdate);
  return loss;
}

}  // namespace

WorkspaceLoan::WorkspaceLoan() {
  {
    std::lock_guard<std::mutex> lock(idle().mutex);
    if (!idle().workspaces.empty()) {
      workspace_ = std::move(idle().workspaces.back());
      idle().workspaces.pop_back();
    }
  }
  if (!workspace_) workspace_ = std::make_unique<Workspace>();
}

WorkspaceLoan::~WorkspaceLoan() {
  if (!workspace_ || spoilt_) return;
  std::lock_guard<std::mutex> lock(idle().mutex);
  if (idle().workspaces.size() < kIdleWorkspaces) idle().workspaces.push_back(std::move(workspace_));
}

void free_workspaces() {
  std::lock_guard<std::mutex> lock(idle().mutex);
  idle().workspaces.clear();
}

void fit_planes(Workspace& ws, int width, int height, bool with_depth) {
  const bool clear = !ws.layout.fits(width, height);   // only then may something stand in the borders
  ws.layout = PlaneLayout::of(width, height);
  const std::size_t size = ws.layout.size;
  fit_plane(ws.image, 3 * size, clear);
  fit_plane(ws.d_image, 3 * size, clear);
  fit_plane(ws.left, size, clear);
  if (!with_depth) return;
  for (Scratch<float>* plane : {&ws.depth, &ws.d_left, &ws.d_depth}) fit_plane(*plane, size, true);
}

void render(Workspace& ws, Pool& pool, const Level& level, const Camera& camera, const Splats& splats,
            const float* background, bool with_depth, const Filters& filters) {
  ws.tight_tiles = true;
  PhaseClock clock(ws.phase_ms);
  draw(ws, pool, level, camera, splats, background, nullptr, with_depth, filters, clock);
}

void render_backward(Workspace& ws, Pool& pool, const Level& level, const Splats& splats, const PictureGradients& out) {
  PhaseClock clock(ws.phase_ms);
  level.backward(ws, pool, splats.count, true, out.abs_centres != nullptr, false);
  clock.done(kBackward);
  GradientSink sink;
  sink.gradients = out.splats;
  sink.centres = out.centres;
  sink.abs_centres = out.abs_centres;
  sink.pose_gradient = true;
  level.update(ws, pool, splats, sink);
  clock.done(kUpdate);
}

void render_features(Workspace& ws, Pool& pool, const Level& level, const Features& features, float* picture) {
  ws.feature_planes.reserve(features.channels * ws.layout.size);
  level.outputs.features(ws, pool, features, ws.feature_planes.data());
  read_planes(ws.layout, ws.feature_planes.data(), features.channels, picture);
}

void render_features_backward(Workspace& ws, Pool& pool, const Level& level, const Splats& splats,
                              const Features& features, const float* d_picture, float* d_features,
                              const PictureGradients& out) {
  fit_plane(ws.feature_planes, features.channels * ws.layout.size, true);
  write_planes(ws.layout, d_picture, features.channels, ws.feature_planes.data());
  level.outputs.features_backward(ws, pool, features, splats.count, ws.feature_planes.data(), d_features);
  GradientSink sink;
  sink.gradients = out.splats;
  sink.centres = out.centres;
  sink.pose_gradient = true;
  level.update(ws, pool, splats, sink);
}

void contribution(Workspace& ws, Pool& pool, const Level& level, int splat_count, const float* map,
                  const ContributionSink& out) {
  if (map) {
    fit_plane(ws.feature_planes, ws.layout.size, true);
    write_planes(ws.layout, map, 1, ws.feature_planes.data());
  }
  level.outputs.contribution(ws, pool, splat_count, map ? ws.feature_planes.data() : nullptr, out);
}

void median_depth(Workspace& ws, Pool& pool, const Level& level, float* picture) {
  ws.feature_planes.reserve(ws.layout.size);
  level.outputs.median_depth(ws, pool, ws.feature_planes.data());
  read_planes(ws.layout, ws.feature_planes.data(), 1, picture);
}

Loss train_step(Workspace& ws, Pool& pool, const Level& level, Splats splats, const AdamMoments& moments,
                Shot& shot, const StepOptions& options, const Statistics& statistics) {
  GradientSink sink;
  sink.moments = moments;
  sink.adam = options.adam;
  return learn(ws, pool, level, splats, shot, options, statistics, sink);
}

Loss accumulate_step(Workspace& ws, Pool& pool, const Level& level, Splats splats, float* gradients,
                     std::uint8_t* seen, Shot& shot, const StepOptions& options, const Statistics& statistics) {
  GradientSink sink;
  sink.gradients = gradients;
  sink.seen = seen;
  return learn(ws, pool, level, splats, shot, options, statistics, sink);
}

void apply_step(Pool& pool, const Level& level, Splats splats, const AdamMoments& moments, float* gradients,
                std::uint8_t* seen, int views, const StepOptions& options) {
  splats.degree = options.sh_degree;
  GradientSink sink;
  sink.gradients = gradients;
  sink.seen = seen;
  sink.moments = moments;
  sink.adam = options.adam;
  level.apply(pool, splats, sink, views);
}

void set_extra_gradients(Workspace& ws, const float* d_alpha, const float* d_depth) {
  for (Scratch<float>* plane : {&ws.d_left, &ws.d_depth}) fit_plane(*plane, ws.layout.size, true);
  if (d_depth) write_planes(ws.layout, d_depth, 1, ws.d_depth.data());
  if (!d_alpha) return;
  write_planes(ws.layout, d_alpha, 1, ws.d_left.data());
  for (std::size_t i = 0; i < ws.layout.size; ++i) ws.d_left[i] = -ws.d_left[i];
}

void hide_masked(Workspace& ws, const PhotoPlanes& photo) {
  for (int c = 0; c < 3; ++c)
    for (std::size_t i = 0; i < ws.layout.size; ++i) ws.image[c * ws.layout.size + i] *= photo.kept[i];
}

void read_planes(const PlaneLayout& layout, const float* planes, int channels, float* out) {
  for (int y = 0; y < layout.height; ++y)
    for (int c = 0; c < channels; ++c) {
      const float* row = planes + c * layout.size + layout.at(0, y);
      float* to = out + static_cast<std::size_t>(y) * layout.width * channels + c;
      for (int x = 0; x < layout.width; ++x) to[static_cast<std::size_t>(x) * channels] = row[x];
    }
}

void write_planes(const PlaneLayout& layout, const float* values, int channels, float* planes) {
  for (int y = 0; y < layout.height; ++y)
    for (int c = 0; c < channels; ++c) {
      float* row = planes + c * layout.size + layout.at(0, y);
      const float* from = values + static_cast<std::size_t>(y) * layout.width * channels + c;
      for (int x = 0; x < layout.width; ++x) row[x] = from[static_cast<std::size_t>(x) * channels];
    }
}

}  // namespace diorama
