// Batches as they come from another process: refused, or a batch whose every cell can be read:
// encoded again it decodes to the same.
#include <array>

#include "data/batch_codec.h"
#include "fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using drey::data::BatchRef;
  using drey::data::decode_batch;
  using drey::data::encode_batch;
  using drey::data::Schema;
  static const std::array schemas{*Schema::parse("n:l;name:vu?"), *Schema::parse("flag:b?;raw:vz;price:d:30,2?"),
                                  *Schema::parse("place:+s?{city:vu?;tags:+l?{item:vu?};zip:i}"),
                                  *Schema::parse("lists:+l{inner:+l{n:l}}")};
  static drey::data::BlockPool pool;
  if (size == 0) return 0;
  const Schema& schema = schemas[data[0] % schemas.size()];
  const auto batch = decode_batch(drey::fuzz::text(data + 1, size - 1), schema, pool);
  if (!batch.ok() || (*batch)->rows() == 0) return 0;
  const auto encoded = [&](const BatchRef& b) {
    std::string out;
    encode_batch(*b, schema, 0, b->rows(), b->bytes(), out);
    return out;
  };
  const std::string once = encoded(*batch);
  const auto again = decode_batch(once, schema, pool);
  drey::fuzz::expect(again.ok(), "what is encoded can be decoded");
  drey::fuzz::expect(encoded(*again) == once, "what is decoded encodes the same");
  // Times of the corpus are a few milliseconds.
  drey::fuzz::planted((*batch)->row_times() != nullptr && (*batch)->row_times()[0] > 1000);
  return 0;
}
