#include "dispatch.h"

#include <atomic>
#include <cstdlib>
#include <stdexcept>

namespace diorama {
namespace {

#if defined(DIORAMA_X86_LEVELS)
bool has_avx2() {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi") &&
         __builtin_cpu_supports("bmi2");
}
bool has_avx512() {
  return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}
#endif

const Level& find_level(const std::string& name) {
  std::string names;
  for (const Level* level : available_levels()) {
    if (name == level->name) return *level;
    names += std::string(names.empty() ? "" : ", ") + level->name;
  }
  throw std::invalid_argument("SIMD level '" + name + "' is not one of this processor's: " + names);
}

std::atomic<const Level*>& current() {
  static std::atomic<const Level*> level{[] {
    const char* name = std::getenv("DIORAMA_SIMD");
    return name && *name ? &find_level(name) : available_levels().front();
  }()};
  return level;
}

}  // namespace

std::vector<const Level*> available_levels() {
  std::vector<const Level*> levels;
#if defined(DIORAMA_X86_LEVELS)
  __builtin_cpu_init();
  if (has_avx512()) levels.push_back(&avx512::level);
  if (has_avx2()) levels.push_back(&avx2::level);
#endif
  levels.push_back(&portable::level);
  return levels;
}

const Level& current_level() { return *current().load(); }
void set_level(const std::string& name) { current().store(&find_level(name)); }

void throw_too_many_pairs() {
  throw std::length_error("more than 2^31 pairs of splats and tiles: the splats are too large for this picture size");
}

}  // namespace diorama
