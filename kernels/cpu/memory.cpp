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
[[maybe_unused]] constexpr std::size_t kHugePage = std::size_t{2} << 20;

#if defined(__linux__)
// Large arrays that all start at the same offset of a page fight for the same cache sets; each starts some lines on.
std::size_t next_stagger() {
  static std::atomic<unsigned> counter{0};
  return (counter.fetch_add(1, std::memory_order_relaxed) % 29) * 33 * kLine;
}
#endif

// What stands in the line in front of the memory, for free_scratch.
struct Block {
  char* raw;
  std::size_t mapped;   // bytes to unmap, or 0 where `raw` is free()'s
};

#if defined(__linux__)
// Straight from the system, which gives zeros, and gives them when they are touched: room to grow costs nothing.
void* map_scratch(std::size_t bytes) {
  const std::size_t front = kLine + next_stagger();
  if (bytes > SIZE_MAX / 2) throw std::bad_alloc();
  const std::size_t total = bytes + front + kHugePage;
  void* found = mmap(nullptr, total, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (found == MAP_FAILED) throw std::bad_alloc();
  char* raw = static_cast<char*>(found);
  char* page = raw + (kHugePage - reinterpret_cast<std::uintptr_t>(raw) % kHugePage) % kHugePage;
  madvise(page, total - (page - raw), MADV_HUGEPAGE);
  char* memory = page + front;
  const Block block = {raw, total};
  std::memcpy(memory - kLine, &block, sizeof block);
  return memory;
}
#endif

}  // namespace

void* allocate_scratch(std::size_t bytes) {
#if defined(__linux__)
  if (bytes > kHugePage / 2 && !kTightMemory) return map_scratch(bytes);
#endif
  if (bytes > SIZE_MAX - 2 * kLine) throw std::bad_alloc();
  char* raw = static_cast<char*>(std::aligned_alloc(kLine, (bytes + 2 * kLine - 1) / kLine * kLine));
  if (!raw) throw std::bad_alloc();
  char* memory = raw + kLine;
  const Block block = {raw, 0};
  std::memcpy(memory - kLine, &block, sizeof block);
  std::memset(memory, 0, bytes);
  return memory;
}

void free_scratch(void* memory) {
  if (!memory) return;
  Block block;
  std::memcpy(&block, static_cast<char*>(memory) - kLine, sizeof block);
#if defined(__linux__)
  if (block.mapped) {
    munmap(block.raw, block.mapped);
    return;
  }
#endif
  std::free(block.raw);
}

}  // namespace diorama
