#include "pool.hpp"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>

#ifdef __linux__
#include <sched.h>
#endif

namespace anonfilter {
namespace {

constexpr int most_threads = 8;  // a bound on what one call starts

// A pass is two or more turns, one right after the other: so long a thread looks for the next turn before it sleeps.
constexpr std::chrono::microseconds patience{100};

template <class Condition>
void look_out(const Condition& there) {
  const auto end = std::chrono::steady_clock::now() + patience;
  while (!there() && std::chrono::steady_clock::now() < end) std::this_thread::yield();
}

int allowed() {
  int count = static_cast<int>(std::thread::hardware_concurrency());
#ifdef __linux__
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) count = CPU_COUNT(&set);
#endif
  return std::max(1, std::min(count, most_threads));
}

std::atomic<int> limit{0};
std::atomic<std::int64_t> least{200000};

class Pool {
 public:
  explicit Pool(pid_t process) : process_(process) {}

  pid_t process() const { return process_; }

  bool run(int helpers, int count, const std::function<void(int)>& task) {
    const std::unique_lock<std::mutex> one_call(call_, std::try_to_lock);
    if (!one_call) return false;
    {
      const std::lock_guard<std::mutex> lock(state_);
      while (started_ < helpers) {
        try {
          std::thread([this, id = started_] { work(id); }).detach();
        } catch (const std::exception&) {  // no more threads: those there are will do
          break;
        }
        ++started_;
      }
      task_ = &task;
      count_ = count;
      next_ = 0;
      error_ = nullptr;
      invited_ = std::min(helpers, started_);
      busy_ = invited_;
      ++turn_;
    }
    wake_.notify_all();
    take(task, count);
    look_out([this] { return busy_ == 0; });
    std::unique_lock<std::mutex> lock(state_);
    done_.wait(lock, [this] { return busy_ == 0; });
    task_ = nullptr;
    if (error_) std::rethrow_exception(error_);
    return true;
  }

 private:
  void take(const std::function<void(int)>& task, int count) {
    try {
      for (int i = next_++; i < count; i = next_++) task(i);
    } catch (...) {
      next_ = count;
      const std::lock_guard<std::mutex> lock(state_);
      if (!error_) error_ = std::current_exception();
    }
  }

  void work(int id) {
    long seen = 0;
    std::unique_lock<std::mutex> lock(state_);
    for (;;) {
      wake_.wait(lock, [&] { return turn_ != seen && id < invited_; });
      seen = turn_;
      const std::function<void(int)>& task = *task_;
      const int count = count_;
      lock.unlock();
      take(task, count);
      lock.lock();
      if (--busy_ == 0) done_.notify_one();
      lock.unlock();
      look_out([&] { return turn_ != seen; });
      lock.lock();
    }
  }

  const pid_t process_;
  std::mutex call_, state_;
  std::condition_variable wake_, done_;
  std::atomic<int> next_{0};
  const std::function<void(int)>* task_ = nullptr;
  std::exception_ptr error_;
  int count_ = 0, started_ = 0, invited_ = 0;
  std::atomic<int> busy_{0};
  std::atomic<long> turn_{0};
};

// Never destroyed: its threads may outlive every destructor. A forked child has the pool's memory but not its threads,
// and perhaps a lock that a thread held: it gets a pool of its own, and the old one's memory is given up.
Pool& pool() {
  static std::atomic<Pool*> current{nullptr};
  Pool* now = current.load();
  if (!now || now->process() != getpid()) {
    Pool* fresh = new Pool(getpid());
    if (current.compare_exchange_strong(now, fresh)) return *fresh;
    delete fresh;
  }
  return *now;
}

}  // namespace

int threads() {
  const int set = limit;
  return set ? set : allowed();
}

std::int64_t least_work() { return least; }

void set_threads(int count, std::int64_t work) {
  limit = std::max(1, std::min(count, most_threads));
  least = std::max<std::int64_t>(1, work);
}

void in_parallel(int most, int count, const std::function<void(int)>& task) {
  const int helpers = std::min({most, count, threads()}) - 1;
  if (helpers > 0 && pool().run(helpers, count, task)) return;
  for (int i = 0; i < count; ++i) task(i);
}

}  // namespace anonfilter
