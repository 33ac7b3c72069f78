#include "photo_cache.h"

#include <list>
#include <mutex>

namespace diorama {

// Photos that hold planes, the one used last at the end.
class PhotoCache {
 public:
  static PhotoCache& the() {
    static PhotoCache* cache = new PhotoCache;   // photos may outlive static objects
    return *cache;
  }
  static std::size_t bytes_of(const Photo& photo) {
    const std::size_t planes = photo.mask_.empty() ? 9 : 10;
    return PlaneLayout::of(photo.width_, photo.height_).size * planes * sizeof(float);
  }

  void use_now(Photo* photo) {
    std::lock_guard<std::mutex> lock(mutex_);
    users_.remove(photo);
    users_.push_back(photo);
  }
  // Room for a photo's planes: somebody's old ones where the limit asks for it, else new ones.
  std::unique_ptr<PhotoPlanes> make_room(const Photo* wanting) {
    std::lock_guard<std::mutex> lock(mutex_);
    std::unique_ptr<PhotoPlanes> freed;
    while (!users_.empty() && used_ + bytes_of(*wanting) > limit_) {
      Photo* oldest = users_.front();
      users_.pop_front();
      used_ -= bytes_of(*oldest);
      freed = std::move(oldest->planes_);
    }
    used_ += bytes_of(*wanting);
    return freed ? std::move(freed) : std::make_unique<PhotoPlanes>();
  }
  void forget(Photo* photo) {
    std::lock_guard<std::mutex> lock(mutex_);
    if (!photo->planes_) return;
    users_.remove(photo);
    used_ -= bytes_of(*photo);
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
  std::list<Photo*> users_;
  std::size_t used_ = 0, limit_ = std::size_t{2} << 30;
};

Photo::Photo(int width, int height, const std::uint8_t* rgb, const std::uint8_t* mask)
    : width_(width), height_(height), rgb_(rgb, rgb + static_cast<std::size_t>(width) * height * 3) {
  if (mask) mask_.assign(mask, mask + static_cast<std::size_t>(width) * height);
}

Photo::~Photo() { PhotoCache::the().forget(this); }

const PhotoPlanes& Photo::planes(const Level& level, Pool& pool) {
  if (!planes_) {
    planes_ = PhotoCache::the().make_room(this);
    try {
      level.prepare_photo({width_, height_, rgb_.data(), mask_.empty() ? nullptr : mask_.data()}, *planes_, pool);
    } catch (...) {
      PhotoCache::the().forget(this);
      planes_.reset();
      throw;
    }
  }
  PhotoCache::the().use_now(this);
  return *planes_;
}

void set_photo_memory(std::size_t bytes) { PhotoCache::the().set_limit(bytes); }
std::size_t photo_memory() { return PhotoCache::the().limit(); }

}  // namespace diorama
