// What AVX2 and AVX-512 share: eight registers summed at once.
#pragma once

namespace diorama::DIORAMA_LEVEL {

// totals[k] += the sum of the lanes of v[k], k = 0..7.
inline void add_sums_of_eight(const Floats* v, float* totals) {
  const __m256 a = _mm256_hadd_ps(_mm256_hadd_ps(halves_added(v[0]), halves_added(v[1])),
                                  _mm256_hadd_ps(halves_added(v[2]), halves_added(v[3])));
  const __m256 b = _mm256_hadd_ps(_mm256_hadd_ps(halves_added(v[4]), halves_added(v[5])),
                                  _mm256_hadd_ps(halves_added(v[6]), halves_added(v[7])));
  const __m256 sums = _mm256_add_ps(_mm256_permute2f128_ps(a, b, 0x20), _mm256_permute2f128_ps(a, b, 0x31));
  _mm256_storeu_ps(totals, _mm256_add_ps(_mm256_loadu_ps(totals), sums));
}

}  // namespace diorama::DIORAMA_LEVEL
