#include "memory.h"

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>
#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace diorama {
namespace {

constexpr std::size_t kLine = 64;
constexpr std::size_t kHugePage = std::size_t{2} << 20;

// Large arrays that all start at the same offset of a page fight for the same cache sets; each starts some lines on.
std::size_t next_stagger() {
  static std::atomic<unsigned> counter{0};
  return (counter.fetch_add(1, std::memory_order_relaxed) % 29) * 33 * kLine;
}

}  // namespace

void* allocate_scratch(std::size_t bytes) {
  // One line in front of the memory holds the address that free() wants.
  const bool large = bytes > kHugePage / 2 && !kTightMemory;
  const std::size_t alignment = large ? kHugePage : kLine;
  const std::size_t front = kLine + (large ? next_stagger() : 0);
  if (bytes > SIZE_MAX - front - alignment) throw std::bad_alloc();
  const std::size_t total = (bytes + front + alignment - 1) / alignment * alignment;
  char* raw = static_cast<char*>(std::aligned_alloc(alignment, total));
  if (!raw) throw std::bad_alloc();
#if defined(__linux__)
  if (large) madvise(raw, total, MADV_HUGEPAGE);
#endif
  char* memory = raw + front;
  std::memcpy(memory - kLine, &raw, sizeof raw);
  std::memset(memory, 0, bytes);
  return memory;
}

void free_scratch(void* memory) {
  if (!memory) return;
  char* raw;
  std::memcpy(&raw, static_cast<char*>(memory) - kLine, sizeof raw);
  std::free(raw);
}

}  // namespace diorama
