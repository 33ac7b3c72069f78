// Visible splats by depth.
#pragma once
#include "pool.h"
#include "workspace.h"

namespace diorama {

// Fills ws.ids[0..visible_count) with the visible splats near to far, equal depths by index.
void sort_by_depth(Workspace& ws, Pool& pool, int count);

}  // namespace diorama
