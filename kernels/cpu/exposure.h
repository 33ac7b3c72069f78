// A photo's exposure and white balance: the loss compares the photo with E rgb + e instead of the picture rgb.
// The matrix (E e) is (3, 4), row-major.
#pragma once
#include "pool.h"
#include "simd.h"
#include "workspace.h"

namespace diorama::DIORAMA_LEVEL {

constexpr int kExposureRows = 16;   // rows of pixels per task; fixed, so that sums do not depend on the threads

struct ExposureMatrix {
  Floats m[3][4];
  explicit ExposureMatrix(const float* matrix) {
    for (int i = 0; i < 12; ++i) m[i / 4][i % 4] = all(matrix[i]);
  }
};

// Calls f(offset, inside) for the registers of a strip of rows; `inside` says which lanes are pixels.
template <class F>
[[gnu::always_inline]] inline void each_register(const PlaneLayout& layout, int strip, F&& f) {
  const int end = least(layout.height, (strip + 1) * kExposureRows);
  const Floats width = all(static_cast<float>(layout.width));
  for (int y = strip * kExposureRows; y < end; ++y)
    for (int x = 0; x < layout.width; x += kWidth)
      f(layout.at(x, y), greater(width, lane_numbers() + static_cast<float>(x)));
}

// ws.exposed from ws.image. `kept` is the photo's plane of 0 and 1, or null: a hidden pixel is 0, as in the picture.
void expose(Workspace& ws, Pool& pool, const float* matrix, const float* kept) {
  const PlaneLayout layout = ws.layout;
  ws.exposed.reserve(3 * layout.size);
  if (!ws.exposed_layout.fits(layout.width, layout.height))   // its border is zero and stays so
    __builtin_memset(ws.exposed.data(), 0, 3 * layout.size * sizeof(float));
  ws.exposed_layout = layout;
  const float* image = ws.image.data();
  float* exposed = ws.exposed.data();
  pool.run((layout.height + kExposureRows - 1) / kExposureRows, [&](int strip, int) {
    const ExposureMatrix e(matrix);
    each_register(layout, strip, [&](std::size_t at, Mask inside) __attribute__((always_inline)) {
      const Floats r = load(image + at), g = load(image + layout.size + at), b = load(image + 2 * layout.size + at);
      const Mask counts = kept ? both(inside, greater(load(kept + at), all(.5f))) : inside;
      for (int c = 0; c < 3; ++c)
        store(exposed + c * layout.size + at,
              keep(counts, e.m[c][0] * r + e.m[c][1] * g + e.m[c][2] * b + e.m[c][3]));
    });
  });
}

// ws.d_image, by the exposed picture, becomes the gradient by the picture; d_matrix (12) is the one by the matrix.
void expose_backward(Workspace& ws, Pool& pool, const float* matrix, double* d_matrix) {
  const PlaneLayout layout = ws.layout;
  const int strips = (layout.height + kExposureRows - 1) / kExposureRows;
  ws.partial_sums.reserve(static_cast<std::size_t>(strips) * 12);
  const float* image = ws.image.data();
  float* gradient = ws.d_image.data();
  pool.run(strips, [&](int strip, int) {
    const ExposureMatrix e(matrix);
    Floats sums[12];
    for (Floats& s : sums) s = zeros();
    each_register(layout, strip, [&](std::size_t at, Mask inside) __attribute__((always_inline)) {
      Floats rgb[3], d[3];
      for (int c = 0; c < 3; ++c) {
        rgb[c] = keep(inside, load(image + c * layout.size + at));
        d[c] = keep(inside, load(gradient + c * layout.size + at));
      }
      for (int c = 0; c < 3; ++c) {
        for (int k = 0; k < 3; ++k) sums[4 * c + k] = sums[4 * c + k] + d[c] * rgb[k];
        sums[4 * c + 3] = sums[4 * c + 3] + d[c];
      }
      for (int k = 0; k < 3; ++k)
        store(gradient + k * layout.size + at, e.m[0][k] * d[0] + e.m[1][k] * d[1] + e.m[2][k] * d[2]);
    });
    for (int i = 0; i < 12; ++i) ws.partial_sums[static_cast<std::size_t>(strip) * 12 + i] = sum(sums[i]);
  });
  for (int i = 0; i < 12; ++i) {
    d_matrix[i] = 0;
    for (int strip = 0; strip < strips; ++strip) d_matrix[i] += ws.partial_sums[static_cast<std::size_t>(strip) * 12 + i];
  }
}

}  // namespace diorama::DIORAMA_LEVEL
