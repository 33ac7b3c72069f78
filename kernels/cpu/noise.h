// The random walk of 3DGS-MCMC.
#pragma once
#include <cstdint>

#include "pool.h"
#include "types.h"

namespace diorama {

// Philox-4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"): four random words that depend on
// counter and key alone, so that every splat has its own and threads do not matter.
struct Philox {
  std::uint32_t words[4];
};
Philox philox(const std::uint32_t counter[4], std::uint64_t key);

// Adds `amount * sigmoid(-100 (opacity - 0.005)) * Sigma n` to each splat's mean, n three standard normals
// (Kheradmand et al. 2024, eq. 9). The same seed and step give the same n.
void add_mcmc_noise(const Splats& splats, Pool& pool, float amount, std::uint64_t seed, std::uint64_t step);

}  // namespace diorama
