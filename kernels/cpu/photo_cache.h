// Photos, and the memory that what is computed from them may take.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>

#include "level.h"

namespace diorama {

// A photo's planes (36 bytes per pixel; 4 more with a mask, 8 with depth, 4 with emptiness) are computed at first use and
// kept while all photos' planes together stay below the limit. A training walks through its photos in ever new orders,
// so that the one used longest ago is as likely to come next as any: planes that are kept stay, and photos that found
// no room share a spare set. Only planes that have long been left alone make room.
class Photo {
 public:
  // The arrays are not copied: they must outlive the photo and not change. Without `keep` it always uses the spare set.
  Photo(const PhotoBytes& photo, bool keep);
  ~Photo();
  Photo(const Photo&) = delete;
  Photo& operator=(const Photo&) = delete;

  int width() const { return bytes_.width; }
  int height() const { return bytes_.height; }
  const PhotoPlanes& planes(const Level& level, Pool& pool);   // for this turn only

 private:
  friend class PhotoCache;
  const PhotoBytes bytes_;
  const bool keep_;
  std::unique_ptr<PhotoPlanes> planes_;
  std::size_t last_use_ = 0;
};

void set_photo_memory(std::size_t bytes);   // 2 GB at first
std::size_t photo_memory();
std::size_t photo_preparations();           // how often planes were computed

}  // namespace diorama
