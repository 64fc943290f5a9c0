#pragma once

namespace demo {

/// How the picture begins, with its colours for light and dark surroundings.
inline constexpr const char* picture_head =
    R"(<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 880 520"
 role="img" font-family="system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif" font-size="13">
<style>
.paper { fill: #fff; } text { fill: #59636e; } .ink { fill: #1f2328; }
.grid { stroke: #d8dee4; } .line { stroke-width: 2.5; }
.halo { stroke: #fff; stroke-width: 4; paint-order: stroke; font-weight: 600; }
.stock { fill: #bc4c00; } .line.stock { fill: none; stroke: #bc4c00; }
.rung { fill: #0969da; } .line.rung { fill: none; stroke: #0969da; }
@media (prefers-color-scheme: dark) {
.paper { fill: #0d1117; } text { fill: #9198a1; } .ink { fill: #f0f6fc; }
.grid { stroke: #2f353d; } .halo { stroke: #0d1117; }
.stock { fill: #f0883e; } .line.stock { fill: none; stroke: #f0883e; }
.rung { fill: #58a6ff; } .line.rung { fill: none; stroke: #58a6ff; } }
</style>
<rect class="paper" width="880" height="520" rx="8"/>
)";

}  // namespace demo
