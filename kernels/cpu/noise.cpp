#include "noise.h"

#include <algorithm>
#include <cmath>

namespace diorama {
namespace {

constexpr float kSteepness = 100.f, kThreshold = 0.005f;
// Above this opacity, 0.19, before its sigmoid, less than 1e-8 of the noise is left: most splats need no exponential.
constexpr float kStillLogit = -1.45f;

struct Normals {
  float n[3];
};

// Box and Muller: a radius and an angle from two uniform numbers each.
Normals normals(std::uint32_t index, std::uint64_t seed, std::uint64_t step) {
  const std::uint32_t counter[4] = {index, 0, static_cast<std::uint32_t>(step), static_cast<std::uint32_t>(step >> 32)};
  const Philox random = philox(counter, seed);
  const auto radius = [](std::uint32_t word) {   // the uniform number is in (0, 1]
    return std::sqrt(-2.f * std::log((static_cast<float>(word >> 8) + 1.f) * 0x1p-24f));
  };
  const auto angle = [](std::uint32_t word) { return 6.28318531f * (static_cast<float>(word >> 8) * 0x1p-24f); };
  const float a = angle(random.words[1]);
  return {{radius(random.words[0]) * std::cos(a), radius(random.words[0]) * std::sin(a),
           radius(random.words[2]) * std::cos(angle(random.words[3]))}};
}

void rotation_of(float w, float x, float y, float z, float* r) {
  const float s = 1.f / std::sqrt(w * w + x * x + y * y + z * z);
  w *= s, x *= s, y *= s, z *= s;
  const float values[9] = {1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
                           2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
                           2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)};
  std::copy(values, values + 9, r);
}

void move_splat(float* first, std::uint32_t index, float amount, std::uint64_t seed, std::uint64_t step) {
  const auto p = [first](int k) -> float& { return first[k * kLanes]; };
  if (!(p(kLogitOpacity) < kStillLogit)) return;   // opaque splats stay; so do those with an opacity that is no number
  const float opacity = 1.f / (1.f + std::exp(-p(kLogitOpacity)));
  const float gate = 1.f / (1.f + std::exp(kSteepness * (opacity - kThreshold)));
  const Normals random = normals(index, seed, step);
  float r[9], delta[3] = {0, 0, 0};
  rotation_of(p(kQuaternion), p(kQuaternion + 1), p(kQuaternion + 2), p(kQuaternion + 3), r);
  for (int k = 0; k < 3; ++k) {   // Sigma n = sum over axes of axis * scale^2 * (axis n)
    const float along = r[k] * random.n[0] + r[3 + k] * random.n[1] + r[6 + k] * random.n[2];
    const float length = std::exp(2.f * p(kLogScale + k)) * along;
    for (int i = 0; i < 3; ++i) delta[i] += r[i * 3 + k] * length;
  }
  for (int i = 0; i < 3; ++i) {
    const float moved = p(kMean + i) + amount * gate * delta[i];
    if (std::isfinite(moved)) p(kMean + i) = moved;
  }
}

}  // namespace

Philox philox(const std::uint32_t counter[4], std::uint64_t key) {
  std::uint32_t c[4] = {counter[0], counter[1], counter[2], counter[3]};
  auto k0 = static_cast<std::uint32_t>(key), k1 = static_cast<std::uint32_t>(key >> 32);
  for (int round = 0; round < 10; ++round, k0 += 0x9E3779B9u, k1 += 0xBB67AE85u) {
    const std::uint64_t a = std::uint64_t{0xD2511F53u} * c[0], b = std::uint64_t{0xCD9E8D57u} * c[2];
    const std::uint32_t next[4] = {static_cast<std::uint32_t>(b >> 32) ^ c[1] ^ k0, static_cast<std::uint32_t>(b),
                                   static_cast<std::uint32_t>(a >> 32) ^ c[3] ^ k1, static_cast<std::uint32_t>(a)};
    std::copy(next, next + 4, c);
  }
  return {{c[0], c[1], c[2], c[3]}};
}

void add_mcmc_noise(const Splats& splats, Pool& pool, float amount, std::uint64_t seed, std::uint64_t step) {
  constexpr int kChunk = 64;
  const int blocks = splats.block_count();
  pool.run((blocks + kChunk - 1) / kChunk, [&](int task, int) {
    const int end = std::min(splats.count, (task + 1) * kChunk * kLanes);
    for (int i = task * kChunk * kLanes; i < end; ++i)
      move_splat(splats.blocks + static_cast<std::size_t>(i / kLanes) * kBlockFloats + i % kLanes,
                 static_cast<std::uint32_t>(i), amount, seed, step);
  });
}

}  // namespace diorama
