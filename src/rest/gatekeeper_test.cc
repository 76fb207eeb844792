#include "rest/gatekeeper.h"

#include <crypt.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace drey::rest {
namespace {

using testing::HasSubstr;

class GatekeeperTest : public testing::Test {
 protected:
  void SetUp() override {
    crypt_data data{};
    // The lowest cost: tests need no protection.
    const std::string hash = crypt_r("open sesame", "$2b$04$abcdefghijklmnopqrstuu", &data);
    ASSERT_TRUE(hash.starts_with("$2b$04$"));
    write(passwords_, "# people\nada:" + hash + "\nbob:" + hash + "\n");
    write(tokens_, "0123456789abcdef submitter\n");
    keeper_ = std::make_unique<Gatekeeper>(GatekeeperOptions{passwords_, tokens_, {"ada:admin"}}, env::posix());
    const Status loaded = keeper_->load();
    ASSERT_TRUE(loaded.ok()) << loaded.to_string();
  }
  void write(const std::string& path, const std::string& text) {
    ASSERT_TRUE(env::posix().files.write_atomic(path, text).ok());
  }
  int status(const std::string& authorization, Access needed, const std::string& peer = "a") {
    return keeper_->judge(authorization, peer, needed).status;
  }
  const std::string passwords_ = testing::TempDir() + "gatekeeper_passwords";
  const std::string tokens_ = testing::TempDir() + "gatekeeper_tokens";
  std::unique_ptr<Gatekeeper> keeper_;
  const std::string ada_ = "Basic YWRhOm9wZW4gc2VzYW1l";
  const std::string bob_ = "Basic Ym9iOm9wZW4gc2VzYW1l";
};

TEST_F(GatekeeperTest, RolesAreInOrder) {
  EXPECT_EQ(status(ada_, Access::kAdmin), 200);
  EXPECT_EQ(status(bob_, Access::kView), 200);
  EXPECT_EQ(status(bob_, Access::kOperate), 403);
  EXPECT_EQ(status("Bearer 0123456789abcdef", Access::kSubmit), 200);
  EXPECT_EQ(status("Bearer 0123456789abcdef", Access::kAdmin), 403);
}

TEST_F(GatekeeperTest, WhatIsNoLoginIsRefused) {
  for (const char* text : {"", "Bearer 0123456789abcdeg", "Bearer ", "Basic !!!", "Basic YWRh", "Basic YWRhOndyb25n",
                           "Basic bm9ib2R5Om9wZW4gc2VzYW1l", "Digest x"})
    EXPECT_EQ(status(text, Access::kView), 401) << text;
}

TEST_F(GatekeeperTest, FailedLoginsAreLimitedByPeer) {
  for (int i = 0; i < 10; ++i) EXPECT_EQ(status("Bearer wrong", Access::kView, "bad"), 401);
  EXPECT_EQ(status(ada_, Access::kView, "bad"), 429);
  EXPECT_EQ(status(ada_, Access::kView, "good"), 200);
  // To ask without a login, as browsers do first, is no failure.
  for (int i = 0; i < 20; ++i) EXPECT_EQ(status("", Access::kView, "browser"), 401);
  EXPECT_EQ(status(ada_, Access::kView, "browser"), 200);
}

TEST_F(GatekeeperTest, FilesThatDoNotFitAreRefusedByLine) {
  write(passwords_, "ada:plain\n");
  EXPECT_THAT(keeper_->load().to_string(), HasSubstr("gatekeeper_passwords:1:"));
  // What was read before stays in force.
  EXPECT_EQ(status(ada_, Access::kAdmin), 200);
  write(passwords_, "");
  write(tokens_, "0123456789abcdef emperor\n");
  EXPECT_THAT(keeper_->load().to_string(), HasSubstr("gatekeeper_tokens:1:"));
  write(tokens_, "short admin\n");
  EXPECT_FALSE(keeper_->load().ok());
}

}  // namespace
}  // namespace drey::rest
