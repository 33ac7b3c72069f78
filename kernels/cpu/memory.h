// Scratch memory that only grows, so that a training step allocates nothing once it is warm.
#pragma once
#include <cstddef>

namespace diorama {

// Defined for the sanitizers: no spare room behind what a kernel asked for, so that they see it when it is left.
#if defined(DIORAMA_TIGHT_MEMORY)
constexpr bool kTightMemory = true;
#else
constexpr bool kTightMemory = false;
#endif
// Values that kernels may read, never use, behind what they asked for: registers and prefetches reach over the end.
constexpr std::size_t kReadable = 64;
[[gnu::always_inline]] inline std::size_t grown_count(std::size_t count) {
  return count + (kTightMemory ? 0 : count / 4) + kReadable;
}

// Cache-line aligned and zeroed, on huge pages where they exist; throws std::bad_alloc. Release with free_scratch.
void* allocate_scratch(std::size_t bytes);
void free_scratch(void* memory);

// An array of plain values. Its functions are forced inline: this header is compiled once per SIMD level, and a shared
// out-of-line copy made with AVX-512 could be the one that an older processor runs.
template <class T>
class Scratch {
 public:
  Scratch() = default;
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  [[gnu::always_inline]] ~Scratch() { free_scratch(data_); }

  // At least `count` values; all are zero and old ones are lost when it has to grow.
  [[gnu::always_inline]] void reserve(std::size_t count) {
    if (count <= capacity_) return;
    free_scratch(data_);
    data_ = nullptr;
    capacity_ = 0;
    const std::size_t grown = grown_count(count);
    data_ = static_cast<T*>(allocate_scratch(grown * sizeof(T)));
    capacity_ = grown;
  }
  // The same, keeping the first `used` values.
  [[gnu::always_inline]] void extend(std::size_t count, std::size_t used) {
    if (count <= capacity_) return;
    const std::size_t grown = grown_count(count);
    T* wider = static_cast<T*>(allocate_scratch(grown * sizeof(T)));
    if (used) __builtin_memcpy(static_cast<void*>(wider), data_, used * sizeof(T));
    free_scratch(data_);
    data_ = wider;
    capacity_ = grown;
  }
  [[gnu::always_inline]] void swap(Scratch& other) {
    T* data = data_;
    data_ = other.data_;
    other.data_ = data;
    std::size_t capacity = capacity_;
    capacity_ = other.capacity_;
    other.capacity_ = capacity;
  }
  [[gnu::always_inline]] T* data() { return data_; }
  [[gnu::always_inline]] const T* data() const { return data_; }
  [[gnu::always_inline]] T& operator[](std::size_t i) { return data_[i]; }
  [[gnu::always_inline]] const T& operator[](std::size_t i) const { return data_[i]; }
  [[gnu::always_inline]] std::size_t capacity() const { return capacity_; }

 private:
  T* data_ = nullptr;
  std::size_t capacity_ = 0;
};

}  // namespace diorama
