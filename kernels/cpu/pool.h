// Threads that stay: a training step hands out work a dozen times in a few milliseconds.
#pragma once

namespace diorama {

// Denormal numbers are flushed to zero while one of these lives: splat tails produce them and they cost 100 cycles each.
class FlushDenormals {
 public:
  FlushDenormals();
  ~FlushDenormals();
  FlushDenormals(const FlushDenormals&) = delete;
  FlushDenormals& operator=(const FlushDenormals&) = delete;

 private:
  unsigned long long saved_;
};

// All kernels of the process share one pool; `Turn` makes callers wait for each other, a picture or step at a time.
class Pool {
 public:
  int threads() const;

  // Calls f(task, thread) for task in 0..tasks-1 on all threads, the caller's included, and returns when all are done.
  // Tasks start in order but end in any; thread is in 0..threads()-1. The first exception thrown by f is thrown here.
  template <class F>
  [[gnu::always_inline]] void run(int tasks, F&& f) {
    struct Call {
      static void one(void* context, int task, int thread) { (*static_cast<F*>(context))(task, thread); }
    };
    run(tasks, &Call::one, const_cast<void*>(static_cast<const void*>(&f)));
  }

 private:
  void run(int tasks, void (*call)(void*, int, int), void* context);
};

class Turn {
 public:
  Turn();
  ~Turn();
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;
  Pool& pool() { return pool_; }

 private:
  FlushDenormals flush_;
  Pool pool_;
};

int thread_count();
void set_thread_count(int count);   // from the next turn on; throws std::invalid_argument outside 1..256

}  // namespace diorama
