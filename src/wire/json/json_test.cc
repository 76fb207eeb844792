#include "wire/json/json.h"

#include <gtest/gtest.h>

#include <cmath>

namespace drey::wire {
namespace {

TEST(Json, PrintsDoublesAsJavaDoes) {
  EXPECT_EQ(java_double(0), "0.0");
  EXPECT_EQ(java_double(2211), "2211.0");
  EXPECT_EQ(java_double(97828864), "9.7828864E7");
  EXPECT_EQ(java_double(1e-4), "1.0E-4");
  EXPECT_EQ(Json(std::nan("")).to_string(), "\"NaN\"");
}

TEST(Json, ReadsLeniently) {
  EXPECT_TRUE(Json::parse("{}").ok());
  EXPECT_TRUE(Json::parse("\xEF\xBB\xBF{\"a\":1}").ok());
  EXPECT_EQ((*Json::parse("{\"a\":1,\"a\":2} trailing"))["a"].whole(), 2);
  EXPECT_EQ((*Json::parse("{\"a\":\"7\"}"))["a"].whole(), 7);
  EXPECT_EQ((*Json::parse("{\"a\":1}"))["a"].boolean(), true);
  for (const char* bad : {"{", "{'a':1}", "{\"a\":}", ""}) EXPECT_FALSE(Json::parse(bad).ok()) << bad;
}

TEST(Json, WritesUtf8WhateverTheTextHolds) {
  EXPECT_EQ(Json("a\xff"
                 "b")
                .to_string(),
            "\"a\xEF\xBF\xBD"
            "b\"");
  EXPECT_EQ(Json("gr\xC3\xBC\xC3\x9F").to_string(), "\"gr\xC3\xBC\xC3\x9F\"");
  EXPECT_EQ(Json("a\n\"\x01").to_string(), "\"a\\n\\\"\\u0001\"");
}

}  // namespace
}  // namespace drey::wire
