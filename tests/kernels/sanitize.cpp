// The kernels without Python, on ordinary and hostile inputs, for the sanitizers (test_sanitizers.py builds and runs it).
//
//     sanitize LEVEL                         one SIMD level of the processor
//     sanitize overflow|undefined|race       makes that mistake, to see that this build reports it
//
// Nothing is compared with the twin here; what is checked is that no call reads or writes where it must not, and that
// callers at the same time do not meet. Arrays are allocated to the exact size that Python's would have.
#include <atomic>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <limits>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "dispatch.h"
#include "noise.h"
#include "pool.h"
#include "step.h"

using namespace diorama;

namespace {

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "sanitize: %s\n", what);
  std::exit(1);
}

// Blocks on a cache line, not a byte longer than they must be.
template <class T>
struct BlocksOf {
  explicit BlocksOf(int count) : size(static_cast<std::size_t>((count + kLanes - 1) / kLanes) * kBlockFloats) {
    void* memory = nullptr;   // aligned_alloc would want a multiple of the line
    if (size) require(!posix_memalign(&memory, 64, size * sizeof(T)), "no memory");
    values.reset(static_cast<T*>(memory));
    std::fill_n(values.get(), size, T{});
  }
  struct Free {
    void operator()(T* p) const { std::free(p); }
  };
  std::size_t size;
  std::unique_ptr<T, Free> values;
};
using Blocks = BlocksOf<float>;

struct Cloud {
  Cloud(int count, unsigned seed, float log_scale = -3.f) : blocks(count), count(count) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    std::uniform_real_distribution<float> uniform;
    for (int i = 0; i < count; ++i) {
      at(i, kMean) = 4 * uniform(random) - 2, at(i, kMean + 1) = 3 * uniform(random) - 1.5f;
      at(i, kMean + 2) = 4 * uniform(random) + 2;
      for (int k = kQuaternion; k < kParameters; ++k) at(i, k) = .3f * normal(random);
      for (int k = 0; k < 3; ++k) at(i, kLogScale + k) += log_scale;
    }
  }
  float& at(int i, int k) {
    return blocks.values.get()[static_cast<std::size_t>(i / kLanes) * kBlockFloats + k * kLanes + i % kLanes];
  }
  Splats splats() {
    Splats s;
    s.blocks = blocks.values.get();
    s.count = count;
    return s;
  }
  Blocks blocks;
  int count;
};

Camera camera_of(int width, int height) {
  Camera c;
  c.width = width, c.height = height;
  c.fx = c.fy = .8f * static_cast<float>(width > height ? width : height);
  c.cx = .5f * static_cast<float>(width) + 1, c.cy = .5f * static_cast<float>(height) - 1;
  c.rotation[0] = c.rotation[4] = c.rotation[8] = 1;
  c.translation[2] = .3f;
  c.limit = c.hold = kInfinity;
  return c;
}

// A camera per lens; limits as kernels/_lens.py works them out for these coefficients.
std::vector<Camera> lens_cameras(int width, int height) {
  std::vector<Camera> cameras(3, camera_of(width, height));
  const float radial[4] = {.1f, -.05f, .001f, .002f}, fisheye[4] = {.02f, .01f, 0, 0};
  cameras[0].lens = Lens::kOpenCv, cameras[0].limit = 1.64f, cameras[0].hold = .93f;
  cameras[1].lens = Lens::kFisheye, cameras[1].limit = 3.14f, cameras[1].hold = .95f;
  for (int k = 0; k < 4; ++k) cameras[0].distortion[k] = radial[k], cameras[1].distortion[k] = fisheye[k];
  Camera& whole = cameras[2];
  whole.lens = Lens::kEquirectangular;
  whole.fx = static_cast<float>(width) / 6.2831853f, whole.fy = static_cast<float>(height) / 3.1415927f;
  whole.cx = .5f * static_cast<float>(width), whole.cy = .5f * static_cast<float>(height);
  return cameras;
}

// A photo with the arrays that it looks into.
struct OwnedPhoto {
  std::vector<std::uint8_t> rgb, hides;
  std::vector<float> depth, confidence;
  std::unique_ptr<Photo> photo;
  OwnedPhoto(int width, int height, const char* mask) {
    const std::size_t pixels = static_cast<std::size_t>(width) * height;
    rgb.resize(3 * pixels), hides.resize(pixels), depth.resize(pixels), confidence.resize(pixels);
    for (std::size_t i = 0; i < rgb.size(); ++i) rgb[i] = static_cast<std::uint8_t>(i * 7 + i / 200);
    for (std::size_t i = 0; i < pixels; ++i) hides[i] = std::strcmp(mask, "all") == 0 ? 0 : i % 5 != 0;
    for (std::size_t i = 0; i < pixels; ++i) depth[i] = i % 7 ? 1.f + .01f * static_cast<float>(i % 300) : kNaN;
    for (std::size_t i = 0; i < pixels; ++i) confidence[i] = static_cast<float>(i % 3);
    PhotoBytes bytes;
    bytes.width = width, bytes.height = height, bytes.rgb = rgb.data();
    if (std::strcmp(mask, "none") != 0) {
      bytes.mask = bytes.empty = hides.data();
      bytes.depth = depth.data(), bytes.confidence = confidence.data();
    }
    photo = std::make_unique<Photo>(bytes, std::strcmp(mask, "all") != 0);
  }
};

void read_outputs(Workspace& ws, Pool& pool, const Level& level, Cloud& cloud, Blocks& gradients, std::size_t pixels) {
  const auto count = static_cast<std::size_t>(cloud.count);
  for (const int channels : {1, 3, 13}) {
    std::vector<float> values(count * channels, .5f), picture(pixels * channels), d_values(count * channels);
    const Features features{values.data(), channels};
    render_features(ws, pool, level, features, picture.data());
    render_features_backward(ws, pool, level, cloud.splats(), features, picture.data(), d_values.data(),
                             {gradients.values.get()});
    for (float value : picture) require(std::isfinite(value), "a feature that is not finite");
  }
  std::vector<float> median(pixels), total(count), most(count), map(pixels, .5f);
  std::vector<std::int32_t> taken(count);
  median_depth(ws, pool, level, median.data());
  contribution(ws, pool, level, cloud.count, nullptr, {total.data(), most.data(), taken.data()});
  contribution(ws, pool, level, cloud.count, map.data(), {total.data(), most.data(), taken.data()});
}

void draw_and_return(Cloud& cloud, const Camera& camera, const Level& level) {
  const std::size_t pixels = static_cast<std::size_t>(camera.width) * camera.height;
  std::vector<float> rgb(3 * pixels), alpha(pixels), depth(pixels), ones(3 * pixels, 1.f);
  const float background[3] = {.1f, .2f, .3f};
  Blocks gradients(cloud.count);
  WorkspaceLoan ws;
  Turn turn;
  std::vector<float> centres(2 * static_cast<std::size_t>(cloud.count));
  render(*ws, turn.pool(), level, camera, cloud.splats(), background, true, Filters{});
  read_planes(ws->layout, ws->image.data(), 3, rgb.data());
  read_planes(ws->layout, ws->left.data(), 1, alpha.data());
  read_planes(ws->layout, ws->depth.data(), 1, depth.data());
  for (const float* d_extra : {static_cast<const float*>(nullptr), static_cast<const float*>(ones.data())}) {
    write_planes(ws->layout, ones.data(), 3, ws->d_image.data());
    set_extra_gradients(*ws, d_extra, d_extra);
    render_backward(*ws, turn.pool(), level, cloud.splats(), {gradients.values.get(), centres.data(), centres.data()});
  }
  read_outputs(*ws, turn.pool(), level, cloud, gradients, pixels);
  for (float value : rgb) require(std::isfinite(value), "a picture that is not finite");
}

void lose(int width, int height, const char* mask, const Level& level) {
  const std::size_t values = static_cast<std::size_t>(width) * height * 3;
  const OwnedPhoto owned(width, height, mask);
  Photo* photo = owned.photo.get();
  std::vector<float> rgb(values, .4f), gradient(values);
  WorkspaceLoan ws;
  Turn turn;
  const PhotoPlanes& planes = photo->planes(level, turn.pool());
  fit_planes(*ws, width, height, false);
  write_planes(ws->layout, rgb.data(), 3, ws->image.data());
  if (planes.masked) hide_masked(*ws, planes);
  const Loss loss = level.photo_loss(*ws, turn.pool(), planes, .2f);
  read_planes(ws->layout, ws->d_image.data(), 3, gradient.data());
  require(std::isfinite(loss.total), "a loss that is not finite");
}

void train(Cloud& cloud, const Camera& camera, Photo& photo, const Level& level, int steps, bool deterministic) {
  Blocks first(cloud.count), second(cloud.count);
  BlocksOf<BFloat> half_first(cloud.count), half_second(cloud.count);
  AdamMoments moments;
  if (deterministic) moments.full = {first.values.get(), second.values.get()};
  else moments.half = {half_first.values.get(), half_second.values.get()};
  Blocks sums(cloud.count);
  std::vector<std::uint8_t> seen(static_cast<std::size_t>(cloud.splats().block_count()) * kLanes);
  const std::vector<float> exposure = {1.1f, 0, 0, .1f, .1f, .9f, 0, 0, 0, 0, 1, -.1f};
  std::vector<float> norms(cloud.count), views(cloud.count), radii(cloud.count), absolute(cloud.count);
  const std::vector<float> smoothing(cloud.count, .01f);
  for (int step = 1; step <= steps; ++step) {
    StepOptions options;
    options.adam.step = step;
    options.adam.lr_means = options.adam.lr_quats = options.adam.lr_log_scales = options.adam.lr_opacities = 1e-3f;
    options.adam.lr_sh0 = options.adam.lr_sh_rest = 1e-3f;
    options.adam.opacity_reg = options.adam.scale_reg = .01f;
    options.adam.needle_reg = step % 2 ? .1f : 0, options.adam.log_needle = .4f;
    options.adam.dense = step % 2 == 0;
    options.sh_degree = step % 4;
    options.depth_weight = step % 3 ? .1f : 0, options.empty_weight = step % 2 ? .1f : 0;
    options.deterministic = deterministic;
    options.antialiased = step % 2, options.pose_gradient = step % 3 == 0;
    Statistics statistics;
    if (step > 1) statistics = {norms.data(), views.data(), radii.data(), step % 3 ? nullptr : absolute.data()};
    WorkspaceLoan ws;
    Turn turn;
    Shot shot;
    shot.camera = camera;
    shot.photo = &photo;
    if (step % 2 == 0) shot.smoothing = smoothing.data();
    const Loss loss = train_step(*ws, turn.pool(), level, cloud.splats(), moments, shot, options, statistics);
    require(std::isfinite(loss.total), "a training step's loss is not finite");
    shot.exposure = exposure.data();
    for (int view = 0; view < 2; ++view)
      accumulate_step(*ws, turn.pool(), level, cloud.splats(), sums.values.get(), seen.data(), shot, options, statistics);
    apply_step(turn.pool(), level, cloud.splats(), moments, sums.values.get(), seen.data(), 2, options);
  }
  Turn turn;
  Scratch<float> intervals;
  level.sampling_intervals(turn.pool(), cloud.splats(), &camera, 1, intervals);
  add_mcmc_noise(cloud.splats(), turn.pool(), 1.f, 7, static_cast<std::uint64_t>(steps));
}

// One way each for a splat to be bad, on splats all over a register, beside good ones.
void spoil(Cloud& cloud) {
  const std::vector<std::function<void(int)>> ways = {
      [&](int i) { cloud.at(i, kMean) = kNaN; },
      [&](int i) { cloud.at(i, kMean + 1) = kInfinity; },
      [&](int i) { cloud.at(i, kMean + 2) = -3; },
      [&](int i) { cloud.at(i, kMean + 2) = -.3f; },   // in the camera
      [&](int i) { cloud.at(i, kMean) = 1e30f; },
      [&](int i) { cloud.at(i, kQuaternion) = kNaN; },
      [&](int i) { for (int k = 0; k < 4; ++k) cloud.at(i, kQuaternion + k) = 0; },
      [&](int i) { cloud.at(i, kLogScale) = kInfinity; },
      [&](int i) { cloud.at(i, kLogScale + 1) = kNaN; },
      [&](int i) { for (int k = 0; k < 3; ++k) cloud.at(i, kLogScale + k) = -100; },   // zero
      [&](int i) { for (int k = 0; k < 3; ++k) cloud.at(i, kLogScale + k) = 60; },     // monstrous
      [&](int i) { for (int k = 0; k < 3; ++k) cloud.at(i, kLogScale + k) = 3; },      // larger than the picture
      [&](int i) { cloud.at(i, kLogitOpacity) = kNaN; },
      [&](int i) { cloud.at(i, kLogitOpacity) = 50; },
      [&](int i) { cloud.at(i, kLogitOpacity) = -50; },
      [&](int i) { cloud.at(i, kHarmonics) = kNaN; },
      [&](int i) { cloud.at(i, kHarmonics + 40) = kInfinity; },
  };
  for (int i = 0; i < cloud.count; i += 2) ways[static_cast<std::size_t>(i / 2) % ways.size()](i);
}

struct Size {
  int width, height;
};
constexpr Size kSizes[] = {{101, 83}, {1, 1}, {7, 3}, {3, 130}, {64, 64}, {200, 2}};

void ordinary(const Level& level) {
  for (const Size size : kSizes)
    for (const int count : {0, 1, 15, 17, 300}) {
      Cloud cloud(count, 5);
      const Camera camera = camera_of(size.width, size.height);
      draw_and_return(cloud, camera, level);
      train(cloud, camera, *OwnedPhoto(size.width, size.height, "none").photo, level, 4, count % 2 == 0);
    }
  for (const char* mask : {"none", "some", "all"})
    for (const Size size : kSizes) lose(size.width, size.height, mask, level);
}

void degenerate(const Level& level) {
  for (const char* mask : {"some", "all"}) {
    Cloud cloud(200, 6);
    spoil(cloud);
    const Camera camera = camera_of(75, 66);
    draw_and_return(cloud, camera, level);
    train(cloud, camera, *OwnedPhoto(75, 66, mask).photo, level, 4, true);
  }
  for (const Camera& camera : lens_cameras(75, 66)) {
    Cloud cloud(200, 9);
    draw_and_return(cloud, camera, level);
    spoil(cloud);
    draw_and_return(cloud, camera, level);
    train(cloud, camera, *OwnedPhoto(75, 66, "some").photo, level, 3, true);
  }
  Cloud huge(40, 7, 1.f);
  draw_and_return(huge, camera_of(150, 90), level);
}

void strips(const Level& level) {
  for (const Size size : {Size{kMaxSize, 2}, Size{3, kMaxSize}}) {
    Cloud cloud(60, 8, -1.f);
    const Camera camera = camera_of(size.width, size.height);
    draw_and_return(cloud, camera, level);
    train(cloud, camera, *OwnedPhoto(size.width, size.height, "some").photo, level, 2, false);
  }
}

// Callers at the same time: splats of their own, some photos shared, planes thrown out between them.
void together(const Level& level) {
  constexpr int kCallers = 4;
  const OwnedPhoto owned(60, 50, "some");
  Photo* shared = owned.photo.get();
  std::vector<std::thread> callers;
  for (int caller = 0; caller < kCallers; ++caller)
    callers.emplace_back([&, caller] {
      Cloud cloud(100 + 50 * caller, static_cast<unsigned>(caller));
      const Camera camera = camera_of(60, 50);
      for (int round = 0; round < 3; ++round) {
        draw_and_return(cloud, camera, level);
        train(cloud, camera, *shared, level, 2, caller % 2 == 0);
        train(cloud, camera, *OwnedPhoto(60, 50, "none").photo, level, 1, false);
        lose(40 + caller, 30, "some", level);
        if (caller == 0) set_photo_memory(round % 2 ? std::size_t{1} << 30 : 0);
        if (caller == 1) set_thread_count(2 + round);
        if (caller == 2) free_workspaces();
      }
    });
  for (auto& caller : callers) caller.join();
  set_photo_memory(std::size_t{2} << 30);
}

void failures() {
  bool thrown = false;
  try {
    Turn turn;
    turn.pool().run(40, [](int task, int) {
      if (task == 20) throw std::runtime_error("from a worker");
    });
  } catch (const std::runtime_error&) {
    thrown = true;
  }
  require(thrown, "an exception in a worker was lost");
}

// Two sweeps of stereo over a picture, with every kind of plane, matrix and number among what is read.
void stereo(const Level& level, int width, int height, int views, bool hostile) {
  std::mt19937 random(static_cast<unsigned>(width * 31 + height));
  std::uniform_real_distribution<float> uniform;
  constexpr int kPad = 5;
  const std::size_t size = static_cast<std::size_t>(width) * height;
  const int stride = width + 2 * kPad + 16;
  std::vector<float> gray(static_cast<std::size_t>(stride) * (height + 2 * kPad), -1e4f);
  for (float& g : gray) g = 255 * uniform(random);
  std::vector<std::uint8_t> keep(size);
  for (auto& k : keep) k = uniform(random) > .2f;
  std::vector<float> from((4 + views) * size), to((4 + views) * size), depth(35);
  for (float& f : from) f = uniform(random);
  for (float& d : depth) d = uniform(random) - .3f;
  if (hostile)
    for (std::size_t i = 0; i < from.size(); i += 7) from[i] = i % 2 ? kNaN : i % 3 ? kInfinity : -3e38f;
  const std::vector<std::uint32_t> quads(35, 0x40302010u);   // 7 by 5
  std::vector<StereoView> seen(views);
  for (int v = 0; v < views; ++v) {
    seen[v].width = 7, seen[v].height = 5, seen[v].quads = quads.data();
    for (int k = 0; k < 9; ++k) seen[v].warp[k] = seen[v].back_warp[k] = k % 4 ? 0.f : 1.f;
    seen[v].shift[0] = 2.f * v - 1, seen[v].back_shift[0] = 1 - 2.f * v;
    if (v % 2) seen[v].inverse_depth = depth.data();
    if (hostile && v > 1) seen[v].warp[v % 9] = v % 2 ? kNaN : 3e38f;
  }
  const std::int32_t samples[] = {-5, -5, 5, 5, 0, 0, 3, -4}, regions[] = {0, -1, -24, 30, 1, 0, 40, 2};
  StereoJob job;
  job.width = width, job.height = height, job.gray = gray.data(), job.stride = stride, job.pad = kPad;
  job.keep = keep.data(), job.samples = samples, job.sample_count = 4, job.regions = regions;
  job.region_count = 2, job.region_size = 2, job.views = seen.data(), job.view_count = views;
  job.options.rho_low = .1f, job.options.geometric_weight = .1f, job.options.refinements = 4;
  job.options.step_rho = hostile ? kInfinity : .1f, job.options.seed = 0xFFFFFFFFu;
  for (int sweep = 0; sweep < 2; ++sweep) {
    job.from = {from.data(), from.data() + 3 * size, from.data() + 4 * size};
    job.to = {to.data(), to.data() + 3 * size, to.data() + 4 * size};
    job.options.fresh = sweep == 0, job.options.sweep = static_cast<std::uint32_t>(sweep);
    Turn turn;
    level.stereo.sweep(turn.pool(), job);
    from.swap(to);
  }
}

void stereos(const Level& level) {
  for (const bool hostile : {false, true}) {
    stereo(level, 1, 1, 1, hostile);
    stereo(level, 37, 19, 4, hostile);
    stereo(level, 16, 3, 16, hostile);
    stereo(level, 3, 40, 2, hostile);
  }
}

// Mistakes on purpose.
int make_mistake(const std::string& which) {
  if (which == "overflow") {
    Blocks blocks(kLanes);
    volatile std::size_t behind = blocks.size;
    blocks.values.get()[behind] = 1;
  } else if (which == "undefined") {
    volatile int most = std::numeric_limits<int>::max();
    most = most + 1;
  } else if (which == "race") {
    std::vector<int> sums(1);
    set_thread_count(2);
    Turn turn;
    std::atomic<int> by_worker{0};   // on a busy machine the worker may come late
    for (int i = 0; i < 100000 && by_worker < 100; ++i)
      turn.pool().run(64, [&](int task, int thread) {
        sums[0] += task;
        if (thread) ++by_worker;
        for (volatile int wait = 0; wait < 2000;) wait = wait + 1;
      });
  } else {
    std::fprintf(stderr, "sanitize: no level or mistake is called %s\n", which.c_str());
  }
  return 2;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string wanted = argc > 1 ? argv[1] : "";
  for (const Level* level : available_levels()) {
    if (wanted != level->name) continue;
    for (const int threads : {1, 3}) {
      set_thread_count(threads);
      ordinary(*level);
      degenerate(*level);
      strips(*level);
      stereos(*level);
      failures();
    }
    together(*level);
    free_workspaces();
    std::printf("%s: nothing found\n", level->name);
    return 0;
  }
  return make_mistake(wanted);
}
