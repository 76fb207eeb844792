#include "wire/binary/codec.h"

#include <gtest/gtest.h>

#include "base/prng.h"
#include "wire/binary/shape.h"

namespace drey::wire {
namespace {

struct Leaf {
  std::string name;
  std::int64_t number = 0;
  static constexpr auto fields() { return Fields{field("name", &Leaf::name), field("number", &Leaf::number)}; }
};
struct Tree {
  JobId id;
  std::vector<Tree> children;
  std::map<std::string, Leaf> leaves;
  std::optional<double> weight;
  std::variant<Leaf, bool> either;
  static constexpr auto fields() {
    return Fields{field("id", &Tree::id), field("children", &Tree::children), field("leaves", &Tree::leaves),
                  field("weight", &Tree::weight), field("either", &Tree::either)};
  }
};
static_assert(EveryMemberHasARow<Leaf>);
static_assert(EveryMemberHasARow<Tree>);

Tree sample() {
  Tree tree;
  tree.id = JobId::from_halves(1, 2);
  tree.children.resize(2);
  tree.children[1].weight = 0.5;
  tree.leaves["a"] = {"b", 7};
  tree.either = true;
  return tree;
}

TEST(BinaryCodec, ReadsBackWhatItWrote) {
  const std::string bytes = encode(sample());
  const auto back = decode<Tree>(bytes);
  ASSERT_TRUE(back.ok());
  EXPECT_EQ(encode(*back), bytes);
  EXPECT_EQ(back->leaves.at("a").number, 7);
}

TEST(BinaryCodec, RefusesWhatIsCutOrTooLong) {
  const std::string bytes = encode(sample());
  for (std::size_t n = 0; n < bytes.size(); ++n) EXPECT_FALSE(decode<Tree>(bytes.substr(0, n)).ok()) << n;
  EXPECT_FALSE(decode<Tree>(bytes + "x").ok());
}

TEST(BinaryCodec, AShapeSaysWhatTheBytesDependOn) {
  EXPECT_EQ(shape_of<Tree>(),
            "{id id;children [^0];leaves map(text:{name text;number i64;});weight ?f64;either <{name text;number "
            "i64;}|bool|>;}");
  EXPECT_EQ((shape_of<std::vector<std::pair<std::uint8_t, Code>>>()), "[(u8,i32)]");
}

TEST(BinaryCodec, SurvivesGarbage) {
  Prng random(7);
  for (int i = 0; i < 20'000; ++i) {
    std::string bytes = encode(sample());
    for (int k = 0; k < 4; ++k) bytes[random.below(bytes.size())] = static_cast<char>(random.next());
    if (auto back = decode<Tree>(bytes); back.ok()) static_cast<void>(encode(*back));
  }
}

}  // namespace
}  // namespace drey::wire
