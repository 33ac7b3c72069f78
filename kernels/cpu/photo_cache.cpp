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
    const std::size_t planes = 9 + (photo.mask_.empty() ? 0 : 1) + (photo.depth_.empty() ? 0 : 2) + (photo.empty_.empty() ? 0 : 1);
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

Photo::Photo(const PhotoBytes& p) : width_(p.width), height_(p.height) {
  const std::size_t pixels = static_cast<std::size_t>(p.width) * p.height;
  rgb_.assign(p.rgb, p.rgb + 3 * pixels);
  if (p.mask) mask_.assign(p.mask, p.mask + pixels);
  if (p.depth) depth_.assign(p.depth, p.depth + pixels);
  if (p.depth && p.confidence) confidence_.assign(p.confidence, p.confidence + pixels);
  if (p.empty) empty_.assign(p.empty, p.empty + pixels);
}

Photo::~Photo() { PhotoCache::the().forget(this); }

const PhotoPlanes& Photo::planes(const Level& level, Pool& pool) {
  if (!planes_) {
    planes_ = PhotoCache::the().make_room(this);
    try {
      const auto given = [](const auto& values) { return values.empty() ? nullptr : values.data(); };
      level.prepare_photo({width_, height_, rgb_.data(), given(mask_), given(depth_), given(confidence_), given(empty_)},
                          *planes_, pool);
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
