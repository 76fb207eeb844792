#include "formats/csv_parser.h"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>

#include "formats/column_rows.h"

namespace drey::formats {
namespace {

// So many rows are indexed at once: index and input stay in the first cache.
constexpr std::size_t kIndexRowsMax = 128;

std::string_view shorten(std::string_view text) { return text.substr(0, 64); }

}  // namespace

CsvParser::CsvParser(const data::Schema& schema, FormatOptions options)
    : schema_(schema),
      options_(std::move(options)),
      values_(options_.time_format),
      nested_(schema, options_),
      field_count_(schema.size()) {
  // Without a header columns are where the schema has them.
  for (std::size_t c = 0; c < schema_.size(); ++c) {
    field_of_column_.push_back(static_cast<std::uint32_t>(c));
  }
}

Status CsvParser::set_header(std::string_view header) {
  if (header.ends_with('\r')) header.remove_suffix(1);
  if (header.starts_with("\xEF\xBB\xBF")) header.remove_prefix(3);
  std::vector<std::string> names;
  const char* problem = nullptr;
  const std::string line(header);
  if (split_row(line.data(), line.data() + line.size(), true, &problem) == nullptr || problem != nullptr) {
    return fail(Code::kInvalidArgument,
                fmt::format("Cannot read the header line: {}", problem ? problem : "it is empty"));
  }
  for (const FieldSpan& f : fields_) {
    std::string& name = names.emplace_back();
    for (const char* p = f.begin; p != f.end; ++p) {
      name += *p;
      if (f.doubled && *p == '"') ++p;
    }
  }
  // A carriage return alone ends no line: rows would hide in the last name.
  if (std::any_of(names.begin(), names.end(), [](const std::string& n) { return n.find('\r') != n.npos; })) {
    return fail(Code::kInvalidArgument, "The header line holds a carriage return that ends no line");
  }
  field_count_ = names.size();
  field_of_column_.clear();
  for (std::size_t c = 0; c < schema_.size(); ++c) {
    const auto found = std::find(names.begin(), names.end(), schema_[c].name);
    if (found == names.end()) {
      const bool other = names.size() == 1 && header.find_first_of(";\t|,") != std::string_view::npos;
      return fail(Code::kInvalidArgument,
                  fmt::format("The file has no column '{}'; its header is: {}{}", schema_[c].name, shorten(header),
                              other ? " (is the delimiter another one?)" : ""));
    }
    if (std::find(found + 1, names.end(), schema_[c].name) != names.end()) {
      return fail(Code::kInvalidArgument,
                  fmt::format("The file has two columns '{}'; its header is: {}", schema_[c].name, shorten(header)));
    }
    const auto f = static_cast<std::uint32_t>(found - names.begin());
    field_of_column_.push_back(f);
  }
  return {};
}

const char* CsvParser::split_row(const char* begin, const char* end, bool is_last, const char** problem) {
  fields_.clear();
  const char* p = begin;
  while (true) {
    FieldSpan field{p, p, false, false};
    if (p != end && *p == '"') {
      field.quoted = true;
      field.begin = ++p;
      while (true) {
        if (p == end) {
          if (!is_last) return nullptr;
          *problem = "a quoted field is not closed";
          return end;
        }
        if (*p == '"') {
          if (p + 1 == end && !is_last) return nullptr;
          if (p + 1 != end && p[1] == '"') {
            field.doubled = true;
            p += 2;
            continue;
          }
          break;
        }
        if (*p == '\n' && !options_.multiline) {
          *problem = "a quoted field is not closed on its line (line ends inside quotes need multiline)";
          return p + 1;
        }
        ++p;
      }
      field.end = p++;
      if (p != end && *p == '\r' && p + 1 != end && p[1] == '\n') ++p;
      if (p != end && *p != options_.delimiter && *p != '\n') {
        *problem = "text follows the closing quote of a field";
        const void* line = std::memchr(p, '\n', static_cast<std::size_t>(end - p));
        if (line == nullptr) return is_last ? end : nullptr;
        return static_cast<const char*>(line) + 1;
      }
    } else {
      while (p != end && *p != options_.delimiter && *p != '\n') ++p;
      field.end = p;
      if (field.end != field.begin && field.end[-1] == '\r' && (p == end || *p == '\n')) --field.end;
    }
    if (p == end && !is_last) return nullptr;
    fields_.push_back(field);
    if (p == end) return end;
    if (*p++ == '\n') return p;
  }
}

bool CsvParser::store_row(const char* row, const char* base, data::BatchBuilder& builder, RowError* error) {
  auto bad = [&](std::string column, std::string what) {
    *error = {static_cast<std::uint64_t>(row - base), std::move(column), std::move(what)};
    return false;
  };
  if (fields_.size() != field_count_) {
    return bad("", fmt::format("the row has {} fields where {} are expected", fields_.size(), field_count_));
  }
  const std::uint32_t at = builder.rows();
  for (std::size_t c = 0; c < field_of_column_.size(); ++c) {
    const FieldSpan& field = fields_[field_of_column_[c]];
    drey_builder_column& column = builder.abi().columns[c];
    std::string_view text(field.begin, static_cast<std::size_t>(field.end - field.begin));
    const data::Field& declared = schema_[c];
    if (!field.quoted) {
      const bool is_null = options_.null_text ? text == *options_.null_text
                                              : text.empty() && declared.type.kind != data::TypeKind::kText;
      const bool empty_is_null = text.empty() && declared.nullable;
      if (is_null || empty_is_null) {
        if (!declared.nullable) return bad(declared.name, "is null but the column is not optional");
        write_null(declared.type, column, at);
        continue;
      }
    } else if (field.doubled) {
      char* copy = builder.text(text.size());
      std::size_t n = 0;
      for (std::size_t i = 0; i < text.size(); ++i) {
        copy[n++] = text[i];
        if (text[i] == '"') ++i;
      }
      text = {copy, n};
    }
    if (declared.type.kind == data::TypeKind::kStruct || declared.type.kind == data::TypeKind::kList) {
      RowError nested;
      if (nested_.parse_value(text, declared, column, at, builder, nested)) continue;
      return bad(std::move(nested.column), std::move(nested.what));
    }
    // Only text can be empty: what is quoted then is null, too.
    if (text.empty() && field.quoted && declared.nullable && !declared.type.is_view()) {
      write_null(declared.type, column, at);
      continue;
    }
    if (const char* problem = values_.parse(text, declared.type, column, at)) {
      return bad(declared.name, fmt::format("{}: value={}", problem, shorten(text)));
    }
  }
  builder.abi().rows = at + 1;
  return true;
}

std::size_t CsvParser::parse_plain(std::string_view input, data::BatchBuilder& builder) {
  std::size_t consumed = 0;
  while (!builder.is_full()) {
    const std::size_t wanted = std::min<std::size_t>(index_rows_, builder.capacity() - builder.rows());
    std::size_t found = index_.find(input.substr(consumed), field_count_, options_.delimiter, wanted);
    if (field_count_ == 1) {
      // An empty line is no row.
      const FieldSpans only = index_.column(0);
      for (std::size_t row = 0; row < found; ++row) {
        if (only[row].size == 0) found = row;
      }
    }
    const std::uint32_t at = builder.rows();
    std::size_t good = found;
    for (std::size_t c = 0; c < field_of_column_.size() && good > 0; ++c) {
      good = values_.parse_column(index_.column(field_of_column_[c]), good, schema_[c], options_.null_text,
                                  builder.abi().columns[c], at);
    }
    if (good < found) {
      // Columns before the one that stopped have gone further: rows that do not count yet must leave no nulls behind.
      for (std::size_t c = 0; c < field_of_column_.size(); ++c) {
        for (std::size_t row = at + good; row < at + found; ++row) {
          data::set_bit(builder.abi().columns[c].validity, static_cast<std::uint32_t>(row), true);
        }
      }
    }
    builder.abi().rows = at + static_cast<std::uint32_t>(good);
    if (good > 0) consumed += index_.bytes(good);
    if (good < wanted) {
      index_rows_ = std::clamp<std::size_t>(good * 2, 1, kIndexRowsMax);
      break;
    }
    index_rows_ = std::min(index_rows_ * 2, kIndexRowsMax);
  }
  return consumed;
}

CsvParser::Outcome CsvParser::parse(std::string_view input, bool is_last, data::BatchBuilder& builder) {
  const char* const base = input.data();
  const char* const end = base + input.size();
  const char* row = base;
  Outcome outcome;
  while (row != end && !builder.is_full()) {
    row += parse_plain({row, static_cast<std::size_t>(end - row)}, builder);
    if (row == end || builder.is_full()) break;
    const char* problem = nullptr;
    const char* next = split_row(row, end, is_last, &problem);
    if (next == nullptr) {
      outcome.needs_more = true;
      break;
    }
    RowError error;
    bool good = false;
    if (problem != nullptr) {
      error = {static_cast<std::uint64_t>(row - base), fmt::format("{}", fields_.size() + 1), problem};
    } else if (fields_.size() == 1 && fields_[0].begin == fields_[0].end && !fields_[0].quoted) {
      good = true;  // an empty line is no row
    } else {
      // A bad row must leave no trace of nulls behind.
      good = store_row(row, base, builder, &error);
      if (!good) {
        for (std::size_t c = 0; c < schema_.size(); ++c) {
          erase_value(schema_[c].type, builder.abi().columns[c], builder.rows());
        }
      }
    }
    row = next;
    if (!good) {
      outcome.error = std::move(error);
      break;
    }
  }
  outcome.consumed = static_cast<std::size_t>(row - base);
  return outcome;
}

}  // namespace drey::formats
