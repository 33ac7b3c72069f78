#include "pool.h"

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <thread>
#include <vector>
#if defined(__x86_64__) || defined(__i386__)
#include <immintrin.h>
#endif
#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#endif
#if defined(__linux__)
#include <sched.h>
#endif

namespace diorama {
namespace {

constexpr int kMaxThreads = 256;
constexpr int kSpins = 4000;   // about 50 us: longer than the gaps inside a step, shorter than anybody notices

void relax() {
#if defined(__x86_64__) || defined(__i386__)
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Threads that share all processors are kept apart, one on each: left alone, the system likes to wake a worker on the
// processor of the thread that called it, where it waits until that one is done. With fewer threads than processors the
// system chooses, as other programs may choose the same ones. The calling thread is held for its turn only.
#if defined(__linux__)
std::vector<int> allowed_processors() {
  cpu_set_t set;
  std::vector<int> processors;
  if (sched_getaffinity(0, sizeof set, &set) == 0)
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
      if (CPU_ISSET(cpu, &set)) processors.push_back(cpu);
  return processors;
}
void hold_on(int processor) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(processor, &set);
  sched_setaffinity(0, sizeof set, &set);
}
class CallerHold {
 public:
  static void begin(int processor) {
    held() = processor >= 0 && sched_getaffinity(0, sizeof(cpu_set_t), &before()) == 0 && CPU_ISSET(processor, &before());
    if (held()) hold_on(processor);
  }
  static void end() {
    if (held()) sched_setaffinity(0, sizeof(cpu_set_t), &before());
  }

 private:
  static cpu_set_t& before() {
    static thread_local cpu_set_t set;
    return set;
  }
  static bool& held() {
    static thread_local bool value = false;
    return value;
  }
};
#else
std::vector<int> allowed_processors() { return {}; }
void hold_on(int) {}
struct CallerHold {
  static void begin(int) {}
  static void end() {}
};
#endif

// Tasks that nobody has taken: first in the low half, end in the high one. Neighbours in a picture share splats, and
// neighbouring splats share cache lines, so each thread works through a stretch of its own from the front, and then
// helps others from their ends.
class alignas(128) Stretch {
 public:
  void put(std::uint32_t first, std::uint32_t end) {
    left_.store(std::uint64_t{end} << 32 | first, std::memory_order_relaxed);
  }
  int take_first() { return take(1, [](std::uint64_t s) { return static_cast<std::uint32_t>(s); }); }
  int take_last() { return take(-(std::uint64_t{1} << 32), [](std::uint64_t s) { return (s >> 32) - 1; }); }

 private:
  template <class Choose>
  int take(std::uint64_t change, const Choose& choose) {
    std::uint64_t left = left_.load(std::memory_order_relaxed);
    while (static_cast<std::uint32_t>(left) < left >> 32)
      if (left_.compare_exchange_weak(left, left + change, std::memory_order_relaxed))
        return static_cast<int>(choose(left));
    return -1;
  }
  std::atomic<std::uint64_t> left_{0};
};

// The workers of a process. A worker that the system does not schedule in time is not waited for: only those that
// joined a job while it was open are. `state_` is job number (32 bits), open flag (1 bit), joined workers (31 bits).
class Workers {
 public:
  explicit Workers(int threads)
      : threads_(threads), processors_(allowed_processors()), stretches_(std::make_unique<Stretch[]>(threads)) {
    if (processors_.size() != static_cast<std::size_t>(threads) || threads == 1) processors_.clear();
    for (int i = 1; i < threads; ++i) workers_.emplace_back([this, i] { serve(i); });
  }
  ~Workers() {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      quit_ = true;
      state_.fetch_add(kNextJob);
    }
    wake_.notify_all();
    for (auto& worker : workers_) worker.join();
  }
  int threads() const { return threads_; }
  int processor_of(int thread) const { return processors_.empty() ? -1 : processors_[thread]; }

  void run(int tasks, void (*call)(void*, int, int), void* context) {
    call_ = call;
    context_ = context;
    error_ = nullptr;
    const bool alone = threads_ == 1 || tasks < 2;
    share_out(tasks, alone ? 1 : threads_);
    if (!alone) open_job();
    work(0);
    if (!alone) close_job();
    if (error_) std::rethrow_exception(error_);
  }

 private:
  static constexpr std::uint64_t kOpen = std::uint64_t{1} << 31;
  static constexpr std::uint64_t kJoined = kOpen - 1;
  static constexpr std::uint64_t kNextJob = std::uint64_t{1} << 32;
  static std::uint64_t job_of(std::uint64_t state) { return state >> 32; }

  void open_job() {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      const std::uint64_t job = job_of(state_.load(std::memory_order_relaxed)) + 1;
      state_.store(job << 32 | kOpen, std::memory_order_release);
    }
    wake_.notify_all();
  }

  void close_job() {
    state_.fetch_and(~kOpen, std::memory_order_acq_rel);
    for (int spins = 0; state_.load(std::memory_order_acquire) & kJoined; ++spins)
      spins < kSpins ? relax() : std::this_thread::yield();
  }

  void serve(int thread) {
    FlushDenormals flush;
    if (processor_of(thread) >= 0) hold_on(processor_of(thread));
    for (std::uint64_t seen = 0;;) {
      std::uint64_t state = await_job_after(seen);
      if (quit_) return;
      seen = job_of(state);
      while ((state & kOpen) && job_of(state) == seen)
        if (state_.compare_exchange_weak(state, state + 1, std::memory_order_acq_rel)) {
          work(thread);
          state_.fetch_sub(1, std::memory_order_acq_rel);
          break;
        }
    }
  }

  std::uint64_t await_job_after(std::uint64_t seen) {
    for (int spins = 0; spins < kSpins; ++spins) {
      const std::uint64_t state = state_.load(std::memory_order_acquire);
      if (job_of(state) != seen) return state;
      relax();
    }
    std::unique_lock<std::mutex> lock(mutex_);
    wake_.wait(lock, [&] { return job_of(state_.load(std::memory_order_acquire)) != seen; });
    return state_.load(std::memory_order_acquire);
  }

  void share_out(int tasks, int threads) {
    for (int t = 0; t < threads_; ++t) {
      const int part = t < threads ? t : threads;
      stretches_[t].put(static_cast<std::uint32_t>(std::int64_t{tasks} * part / threads),
                        static_cast<std::uint32_t>(std::int64_t{tasks} * (part < threads ? part + 1 : threads) / threads));
    }
  }

  int next_task(int thread) {
    int task = stretches_[thread].take_first();
    for (int k = 1; task < 0 && k < threads_; ++k) task = stretches_[(thread + k) % threads_].take_last();
    return task;
  }

  void work(int thread) {
    for (int task; (task = next_task(thread)) >= 0;) {
      try {
        call_(context_, task, thread);
      } catch (...) {
        std::lock_guard<std::mutex> lock(error_mutex_);
        if (!error_) error_ = std::current_exception();
      }
    }
  }

  const int threads_;
  std::vector<int> processors_;   // one per thread, or none
  std::vector<std::thread> workers_;
  std::mutex mutex_, error_mutex_;
  std::condition_variable wake_;
  std::atomic<std::uint64_t> state_{0};
  std::atomic<bool> quit_{false};
  std::unique_ptr<Stretch[]> stretches_;   // one per thread
  void (*call_)(void*, int, int) = nullptr;
  void* context_ = nullptr;
  std::exception_ptr error_;
};

int default_threads() {
  if (const char* text = std::getenv("DIORAMA_THREADS")) {
    const int count = std::atoi(text);
    if (count >= 1) return count < kMaxThreads ? count : kMaxThreads;
  }
  const int count = static_cast<int>(std::thread::hardware_concurrency());
  return count < 1 ? 1 : count < kMaxThreads ? count : kMaxThreads;
}

struct Shared {
  std::mutex turn;
  std::unique_ptr<Workers> workers;
  std::atomic<int> threads{default_threads()};
};

void start_afresh_in_child();

// Never destroyed: workers may not outlive static objects at exit, and joining there can deadlock.
Shared*& shared_slot() {
  static Shared* shared = [] {
#if defined(__unix__) || defined(__APPLE__)
    pthread_atfork(nullptr, nullptr, start_afresh_in_child);
#endif
    return new Shared;
  }();
  return shared;
}
Shared& shared() { return *shared_slot(); }

// Threads do not survive fork(), and a lock held by one of them would stay locked for ever.
void start_afresh_in_child() {
  const int threads = shared().threads;
  shared_slot() = new Shared;
  shared().threads = threads;
}

}  // namespace

#if defined(__x86_64__) || defined(__i386__)
FlushDenormals::FlushDenormals() : saved_(_mm_getcsr()) { _mm_setcsr(static_cast<unsigned>(saved_) | 0x8040u); }
FlushDenormals::~FlushDenormals() { _mm_setcsr(static_cast<unsigned>(saved_)); }
#elif defined(__aarch64__)
FlushDenormals::FlushDenormals() {
  asm volatile("mrs %0, fpcr" : "=r"(saved_));
  asm volatile("msr fpcr, %0" : : "r"(saved_ | (1ull << 24)));
}
FlushDenormals::~FlushDenormals() { asm volatile("msr fpcr, %0" : : "r"(saved_)); }
#else
FlushDenormals::FlushDenormals() : saved_(0) {}
FlushDenormals::~FlushDenormals() = default;
#endif

int Pool::threads() const { return shared().workers->threads(); }
void Pool::run(int tasks, void (*call)(void*, int, int), void* context) {
  shared().workers->run(tasks, call, context);
}

Turn::Turn() {
  Shared& s = shared();
  std::unique_lock<std::mutex> lock(s.turn);
  if (!s.workers || s.workers->threads() != s.threads) {
    s.workers.reset();
    s.workers = std::make_unique<Workers>(s.threads);
  }
  CallerHold::begin(s.workers->processor_of(0));
  lock.release();
}
Turn::~Turn() {
  CallerHold::end();
  shared().turn.unlock();
}

int thread_count() { return shared().threads; }

void set_thread_count(int count) {
  if (count < 1 || count > kMaxThreads) throw std::invalid_argument("the thread count must be 1 to 256");
  shared().threads = count;
}

}  // namespace diorama
