#include "photo_cache.h"

#include <list>
#include <mutex>

namespace diorama {

// Photos that hold planes of their own, the one used last at the end; and the spare planes, with whose they are.
class PhotoCache {
 public:
  static PhotoCache& the() {
    static PhotoCache* cache = new PhotoCache;   // photos may outlive static objects
    return *cache;
  }
  static std::size_t bytes_of(const Photo& photo) {
    const PhotoBytes& b = photo.bytes_;
    const std::size_t planes = 9 + (b.mask ? 1 : 0) + (b.depth ? 2 : 0) + (b.empty ? 1 : 0);
    return PlaneLayout::of(b.width, b.height).size * planes * sizeof(float);
  }

  void enter(const Photo& photo) {
    std::lock_guard<std::mutex> lock(mutex_);
    keeping_ += photo.keep_;
  }
  void leave(const Photo& photo) {
    std::lock_guard<std::mutex> lock(mutex_);
    keeping_ -= photo.keep_;
    if (spare_of_ == &photo) spare_of_ = nullptr;
    if (!photo.planes_) return;
    holders_.remove(const_cast<Photo*>(&photo));
    used_ -= bytes_of(photo);
  }
  void note_use(Photo* photo) {
    std::lock_guard<std::mutex> lock(mutex_);
    if (photo->keep_) photo->last_use_ = ++clock_;
    if (!photo->planes_) return;
    holders_.remove(photo);
    holders_.push_back(photo);
  }
  // Planes for this photo alone, counted as its own; or null when there is no room. In two rounds of a shuffled order
  // no photo waits for longer than twice their number: who does is not in use any more.
  std::unique_ptr<PhotoPlanes> take_room(const Photo& photo) {
    std::lock_guard<std::mutex> lock(mutex_);
    if (!photo.keep_) return nullptr;
    std::unique_ptr<PhotoPlanes> freed;
    while (!holders_.empty() && used_ + bytes_of(photo) > limit_) {
      Photo* oldest = holders_.front();
      if (clock_ - oldest->last_use_ <= 2 * keeping_ && used_ <= limit_) break;
      holders_.pop_front();
      used_ -= bytes_of(*oldest);
      freed = std::move(oldest->planes_);
    }
    if (used_ + bytes_of(photo) > limit_) return nullptr;
    used_ += bytes_of(photo);
    return freed ? std::move(freed) : std::make_unique<PhotoPlanes>();
  }
  void give_room_back(const Photo& photo) {
    std::lock_guard<std::mutex> lock(mutex_);
    used_ -= bytes_of(photo);
  }
  // The spare planes, and whether they are this photo's already. They are touched in one's turn only.
  PhotoPlanes& spare_for(const Photo* photo, bool* is_ready) {
    std::lock_guard<std::mutex> lock(mutex_);
    *is_ready = spare_of_ == photo;
    spare_of_ = nullptr;
    return spare_;
  }
  void spare_is_of(const Photo* photo) {
    std::lock_guard<std::mutex> lock(mutex_);
    spare_of_ = photo;
  }

  void note_preparation() {
    std::lock_guard<std::mutex> lock(mutex_);
    ++preparations_;
  }
  std::size_t preparations() {
    std::lock_guard<std::mutex> lock(mutex_);
    return preparations_;
  }
  void set_limit(std::size_t bytes) {
    std::lock_guard<std::mutex> lock(mutex_);
    limit_ = bytes;
  }
  std::size_t limit() {
    std::lock_guard<std::mutex> lock(mutex_);
    return limit_;
  }

 private:
  std::mutex mutex_;
  std::list<Photo*> holders_;
  std::size_t used_ = 0, limit_ = std::size_t{2} << 30, clock_ = 0, keeping_ = 0, preparations_ = 0;
  PhotoPlanes spare_;
  const Photo* spare_of_ = nullptr;
};

Photo::Photo(const PhotoBytes& photo, bool keep) : bytes_(photo), keep_(keep) { PhotoCache::the().enter(*this); }

Photo::~Photo() { PhotoCache::the().leave(*this); }

const PhotoPlanes& Photo::planes(const Level& level, Pool& pool) {
  PhotoCache& cache = PhotoCache::the();
  if (!planes_) {
    if (std::unique_ptr<PhotoPlanes> own = cache.take_room(*this)) {
      try {
        level.prepare_photo(bytes_, *own, pool);
      } catch (...) {
        cache.give_room_back(*this);
        throw;
      }
      planes_ = std::move(own);
      cache.note_preparation();
    }
  }
  cache.note_use(this);
  if (planes_) return *planes_;
  bool is_ready = false;
  PhotoPlanes& spare = cache.spare_for(this, &is_ready);
  if (!is_ready) {
    level.prepare_photo(bytes_, spare, pool);
    cache.note_preparation();
  }
  cache.spare_is_of(this);
  return spare;
}

void set_photo_memory(std::size_t bytes) { PhotoCache::the().set_limit(bytes); }
std::size_t photo_preparations() { return PhotoCache::the().preparations(); }
std::size_t photo_memory() { return PhotoCache::the().limit(); }

}  // namespace diorama
