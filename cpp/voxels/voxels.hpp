// The voxel-driven backprojection of circular scans, and its transpose.
#pragma once

#include <cstddef>

namespace joseph {

struct VoxelScan {
    const double* views;  // (angles, 4): columns per mm of x and y at depth 1, depth per mm of both
    std::size_t angles;
    std::ptrdiff_t rows, columns;  // of the panel, with an edge of one zero on every side
    std::ptrdiff_t shape[3];       // nz, ny, nx
    double dy, dx;                 // mm
    double row, column;            // where the central ray meets the panel
    double rise;                   // rows per slice at depth 1
    double bottom;                 // of slice 0 over the central ray, in slices
};

// volume (batch, nz, ny, nx) = what every voxel finds in stack (angles, columns, batch, rows).
template <typename T>
void gather_voxels(const T* stack, T* volume, std::size_t batch, const VoxelScan& scan,
                   unsigned threads);

// The transpose; adds to the stack.
template <typename T>
void scatter_voxels(const T* volume, T* stack, std::size_t batch, const VoxelScan& scan,
                    unsigned threads);

}  // namespace joseph
