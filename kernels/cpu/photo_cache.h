// Photos, and the memory that what is computed from them may take.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "level.h"

namespace diorama {

// A photo keeps its bytes. Its planes (36 bytes per pixel; 4 more with a mask, 8 with depth, 4 with emptiness) are computed at first use and kept; when all photos' planes
// together pass the limit, those of the photo that was used longest ago make room.
class Photo {
 public:
  explicit Photo(const PhotoBytes& photo);   // all of it is copied
  ~Photo();
  Photo(const Photo&) = delete;
  Photo& operator=(const Photo&) = delete;

  int width() const { return width_; }
  int height() const { return height_; }
  const PhotoPlanes& planes(const Level& level, Pool& pool);   // in one's turn only

 private:
  friend class PhotoCache;
  int width_, height_;
  std::vector<std::uint8_t> rgb_, mask_, empty_;
  std::vector<float> depth_, confidence_;
  std::unique_ptr<PhotoPlanes> planes_;
};

void set_photo_memory(std::size_t bytes);   // 2 GB at first
std::size_t photo_memory();

}  // namespace diorama
