// How many fused multiply-adds on floats a core does at best: chains enough to hide their latency, nothing else.
#include <chrono>
#include <cstdio>

#ifndef WIDTH
#define WIDTH 8   // floats in a register
#endif

typedef float Floats __attribute__((vector_size(4 * WIDTH)));

int main() {
  using Clock = std::chrono::steady_clock;
  constexpr int kChains = WIDTH < 16 ? 12 : 24, kSteps = 200000;
  double best = 0;
  for (int round = 0; round < 20; ++round) {   // the best: other programs may hold the core
    Floats sum[kChains] = {}, factor = sum[0] + .5f;
    for (auto& s : sum) asm volatile("" : "+x"(s));   // else the compiler sees that all are the same
    const auto start = Clock::now();
    for (int i = 0; i < kSteps; ++i) {
#pragma GCC unroll 24
      for (int k = 0; k < kChains; ++k) sum[k] = sum[k] * factor + factor;
      asm volatile("" : "+x"(factor));
    }
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    for (auto& s : sum) asm volatile("" : : "x"(s));
    const double rate = double(kSteps) * kChains * WIDTH / seconds;
    best = rate > best ? rate : best;
  }
  std::printf("%.6g\n", best);
}
