// Nulls and rows that do not count, in columns that may be nested. Threading: pure functions on one owner's builder.
#pragma once

#include <cstdint>

#include "data/row_batch.h"

namespace drey::formats {

// Writes null as row `row`; what is nested in it is null, too. REQUIRES: rows before it are written.
void write_null(const data::Type& type, drey_builder_column& column, std::uint32_t row);

// Takes back what has been written of row `row`: it must leave no nulls and no elements behind.
void erase_value(const data::Type& type, drey_builder_column& column, std::uint32_t row);

}  // namespace drey::formats
