// The ray transform of a batch of images and its transpose.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "ray2d/views.hpp"

namespace joseph {

// data (batch, angles, detectors) = A image (batch, ny, nx). T is float or double.
template <typename T>
void forward(const T* image, T* data, std::size_t batch, const Geometry& geometry,
             unsigned threads);

// image (batch, ny, nx) = A^T data (batch, angles, detectors).
template <typename T>
void adjoint(const T* data, T* image, std::size_t batch, const Geometry& geometry,
             unsigned threads);

// Instruction sets that this build has and this processor runs, best first.
std::vector<std::string> available_isas();
// Chooses one by name, or the best one if the name is empty. False if it is not available.
bool set_isa(const std::string& name);
std::string current_isa();

}  // namespace joseph
