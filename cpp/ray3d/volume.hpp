// The ray transform of a batch of volumes and its transpose.
#pragma once

#include <cstddef>

#include "ray3d/plan.hpp"

namespace joseph {

// data (batch, angles, rows, columns) = A volume (batch, nz, ny, nx). T is float or double.
template <typename T>
void forward3d(const T* volume, T* data, std::size_t batch, const VolumeGeometry& geometry,
               unsigned threads);

// volume (batch, nz, ny, nx) = A^T data (batch, angles, rows, columns).
template <typename T>
void adjoint3d(const T* data, T* volume, std::size_t batch, const VolumeGeometry& geometry,
               unsigned threads);

}  // namespace joseph
