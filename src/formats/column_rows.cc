#include "formats/column_rows.h"

namespace drey::formats {

using data::TypeKind;

void write_null(const data::Type& type, drey_builder_column& column, std::uint32_t row) {
  data::set_bit(column.validity, row, false);
  column.has_nulls = 1;
  if (type.kind == TypeKind::kStruct) {
    for (std::size_t i = 0; i < type.children.size(); ++i) write_null(type.children[i].type, column.children[i], row);
  } else if (type.kind == TypeKind::kList) {
    static_cast<std::int32_t*>(column.values)[row + 1] = static_cast<std::int32_t>(column.child_rows);
  }
}

void erase_value(const data::Type& type, drey_builder_column& column, std::uint32_t row) {
  data::set_bit(column.validity, row, true);
  if (type.kind == TypeKind::kStruct) {
    for (std::size_t i = 0; i < type.children.size(); ++i) erase_value(type.children[i].type, column.children[i], row);
  } else if (type.kind == TypeKind::kList) {
    const auto first = static_cast<std::uint32_t>(static_cast<const std::int32_t*>(column.values)[row]);
    // From the last one on: lists within them then shrink row by row.
    for (std::uint32_t i = column.child_rows; i-- > first;) {
      erase_value(type.children[0].type, column.children[0], i);
    }
    column.child_rows = first;
  }
}

}  // namespace drey::formats
