#include "sort.h"

#include <algorithm>
#include <cstring>
#include <vector>

namespace diorama {
namespace {

constexpr int kDigitBits = 11, kDigits = 1 << kDigitBits, kPasses = 3;

struct Range {
  int begin, end;
};
Range share(int thread, int per_thread, int count) {
  return {std::min(count, thread * per_thread), std::min(count, (thread + 1) * per_thread)};
}

// Visible splats and their depths' bits (positive floats order like integers), in order of index.
void collect_visible(Workspace& ws, Pool& pool, int count) {
  const int parts = pool.threads(), per_part = (count / kLanes + parts) / parts * kLanes;
  std::vector<int> starts(parts + 1, 0);
  pool.run(parts, [&](int part, int) {
    const Range r = share(part, per_part, count);
    int visible = 0;
    for (int i = r.begin; i < r.end; ++i) visible += ws.visible[i];
    starts[part + 1] = visible;
  });
  for (int part = 0; part < parts; ++part) starts[part + 1] += starts[part];
  ws.visible_count = starts[parts];
  const float* by = ws.sorted_by();
  pool.run(parts, [&](int part, int) {
    const Range r = share(part, per_part, count);
    int next = starts[part];
    for (int i = r.begin; i < r.end; ++i)
      if (ws.visible[i]) {
        std::memcpy(&ws.keys[next], &by[i], sizeof(std::uint32_t));
        ws.ids[next++] = static_cast<std::uint32_t>(i);
      }
  });
}

// Turns counts per part and digit into places to write to; true when all keys share one digit.
bool places_from_counts(std::uint32_t* histograms, int parts, std::uint32_t count) {
  std::uint32_t next = 0;
  bool single = false;
  for (int digit = 0; digit < kDigits; ++digit) {
    const std::uint32_t before = next;
    for (int part = 0; part < parts; ++part) {
      std::uint32_t& place = histograms[part * kDigits + digit];
      const std::uint32_t n = place;
      place = next;
      next += n;
    }
    single |= next - before == count;
  }
  return single;
}

}  // namespace

// A stable radix sort, least digit first; each part counts and moves its own stretch of the keys.
void sort_by_depth(Workspace& ws, Pool& pool, int count) {
  ws.keys.reserve(count);
  ws.other_keys.reserve(count);
  ws.ids.reserve(count + 64);   // later stages prefetch beyond the end
  ws.other_ids.reserve(count + 64);
  collect_visible(ws, pool, count);
  const int n = ws.visible_count, parts = pool.threads(), per_part = (n + parts - 1) / parts;
  ws.histograms.reserve(static_cast<std::size_t>(parts) * kDigits);
  for (int pass = 0; pass < kPasses; ++pass) {
    const int shift = pass * kDigitBits;
    std::memset(ws.histograms.data(), 0, sizeof(std::uint32_t) * parts * kDigits);
    pool.run(parts, [&](int part, int) {
      const Range r = share(part, per_part, n);
      std::uint32_t* counts = &ws.histograms[static_cast<std::size_t>(part) * kDigits];
      for (int i = r.begin; i < r.end; ++i) ++counts[ws.keys[i] >> shift & (kDigits - 1)];
    });
    if (places_from_counts(ws.histograms.data(), parts, static_cast<std::uint32_t>(n))) continue;
    pool.run(parts, [&](int part, int) {
      const Range r = share(part, per_part, n);
      std::uint32_t* places = &ws.histograms[static_cast<std::size_t>(part) * kDigits];
      for (int i = r.begin; i < r.end; ++i) {
        const std::uint32_t place = places[ws.keys[i] >> shift & (kDigits - 1)]++;
        ws.other_keys[place] = ws.keys[i];
        ws.other_ids[place] = ws.ids[i];
      }
    });
    ws.keys.swap(ws.other_keys);
    ws.ids.swap(ws.other_ids);
  }
  std::memset(ws.ids.data() + n, 0, 64 * sizeof(std::uint32_t));
}

}  // namespace diorama
