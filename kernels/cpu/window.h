// SSIM's window: 11 taps of a Gaussian of sigma 1.5, in both directions.
#pragma once
#include "simd.h"

namespace diorama::DIORAMA_LEVEL {

constexpr int kRadius = 5;

// Taps 0 to 5 of the symmetric window, summing to 1 with their mirror images.
struct Window {
  float taps[kRadius + 1];
  Window() {
    double sum = 0, raw[kRadius + 1];
    for (int i = 0; i <= kRadius; ++i) {
      raw[i] = __builtin_exp(-i * i / 4.5);
      sum += i ? 2 * raw[i] : raw[i];
    }
    for (int i = 0; i <= kRadius; ++i) taps[i] = static_cast<float>(raw[i] / sum);
  }
};

// The taps in registers. Kernels copy them into a local first: a member would be loaded again after every store.
struct Taps {
  Floats w[kRadius + 1];
  Taps() {
    const Window window;
    for (int i = 0; i <= kRadius; ++i) w[i] = all(window.taps[i]);
  }
  Floats operator[](int i) const { return w[i]; }
};

// The window across a row at the walk's place.
inline Floats blur_across(const RowWalk& row, const Taps& w) {
  const Floats a = w[0] * row.at<0>() + w[1] * (row.at<-1>() + row.at<1>());
  const Floats b = w[2] * (row.at<-2>() + row.at<2>()) + w[3] * (row.at<-3>() + row.at<3>());
  const Floats c = w[4] * (row.at<-4>() + row.at<4>()) + w[5] * (row.at<-5>() + row.at<5>());
  return a + b + c;
}

// The window down a ring of 16 rows, `Rows` of it, at row y and column x; at(row) gives the address of that row.
template <class At>
[[gnu::always_inline]] inline Floats blur_down(At&& at, int y, const Taps& w) {
  const auto pair = [&](int j) __attribute__((always_inline)) { return load(at(y - j)) + load(at(y + j)); };
  const Floats a = w[0] * load(at(y)) + w[1] * pair(1);
  const Floats b = w[2] * pair(2) + w[3] * pair(3);
  const Floats c = w[4] * pair(4) + w[5] * pair(5);
  return a + b + c;
}

}  // namespace diorama::DIORAMA_LEVEL
