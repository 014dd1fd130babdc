#pragma once

namespace plainformer {

enum class Level : int { generic, avx2, avx512, avx512bf16 };

Level best_level();
Level initial_level();

}  // namespace plainformer
