#include "runtime/output.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/prng.h"

namespace drey::runtime {
namespace {

// Up to so many targets share a batch, each with a selection; more are gathered into batches of their own.
constexpr std::size_t kSharedTargetsMax = 4;
// To more targets than this batches are shared again: a builder for each would cost more memory than there is.
constexpr std::size_t kGatheredTargetsMax = 256;

bool shares(std::size_t targets) { return targets <= kSharedTargetsMax || targets > kGatheredTargetsMax; }

// The narrower each target's part, the less room is kept for it.
std::uint32_t rows_of_a_builder(std::size_t targets) {
  return static_cast<std::uint32_t>(
      std::clamp<std::size_t>(std::size_t{data::kBatchRows} * 16 / targets, 64, data::kBatchRows));
}

}  // namespace

Output::Output(const data::Schema& schema, OutputOptions options, std::vector<std::shared_ptr<Channel>> channels,
               data::BlockPool& pool)
    : schema_(schema), options_(std::move(options)), channels_(std::move(channels)), pool_(pool) {
  builders_.resize(channels_.size());
  is_lacking_.resize(channels_.size());
  if (channels_.size() > kGatheredTargetsMax) is_busy_.resize(channels_.size());
  next_ = channels_.empty() ? 0 : options_.subtask % channels_.size();
  if (options_.partitioner == graph::Partitioner::kHash) {
    for (std::uint32_t group = 0; group < options_.max_parallelism; ++group) {
      target_of_group_.push_back(
          static_cast<std::uint16_t>(data::subtask_of(group, options_.consumer_parallelism, options_.max_parallelism)));
    }
  }
}

Output::~Output() {
  if (partitioner_ != nullptr && options_.custom.functions->destroy != nullptr)
    options_.custom.functions->destroy(partitioner_);
}

Status Output::open_custom(operators::OperatorContext& context) {
  partitioner_task_.user.context = &context;
  const drey_functions& f = *options_.custom.functions;
  if (f.create == nullptr || f.partition == nullptr) {
    return fail(Code::kIncompatible,
                fmt::format("The custom partitioner after operator '{}' lacks its function", context.node().name));
  }
  partitioner_ = f.create(options_.custom.closure, &partitioner_task_, context.abi_host());
  return partitioner_ != nullptr ? Status() : partitioner_task_.user.failure;
}

void Output::send(std::size_t target, data::BatchRef batch) {
  if (options_.batches != nullptr) options_.batches->add(1);
  Item item;
  item.batch = std::move(batch);
  push(target, std::move(item));
}

// Only what is pushed here takes credit away: it is enough to look at the channels that had something pushed.
void Output::push(std::size_t target, Item item) {
  Channel& channel = *channels_[target];
  channel.push(std::move(item));
  if (!is_lacking_[target] && !channel.has_credit()) {
    is_lacking_[target] = true;
    lacking_.push_back(static_cast<std::uint32_t>(target));
  }
  if (channels_.size() <= kGatheredTargetsMax || is_busy_[target]) return;
  is_busy_[target] = true;
  busy_.push_back(static_cast<std::uint32_t>(target));
}

Status Output::emit(const data::BatchRef& batch) {
  using graph::Partitioner;
  const std::size_t count = channels_.size();
  if (options_.partitioner == Partitioner::kBroadcast) {
    for (std::size_t i = 0; i < count; ++i) send(i, batch);
    return {};
  }
  if (count == 1) {
    send(0, batch);
    return {};
  }
  switch (options_.partitioner) {
    case Partitioner::kForward:
    case Partitioner::kGlobal:
      send(0, batch);
      return {};
    case Partitioner::kRebalance:
    case Partitioner::kRescale:
    case Partitioner::kShuffle: {
      send(next_, batch);
      next_ = options_.partitioner == Partitioner::kShuffle ? mix64(next_ + ++shuffled_) % count : (next_ + 1) % count;
      return {};
    }
    case Partitioner::kHash: {
      keys_.hash(*batch, options_.key_columns);
      targets_.resize(batch->rows());
      const auto hashes = keys_.hashes();
      for (std::uint32_t i = 0; i < batch->rows(); ++i) {
        targets_[i] = target_of_group_[data::key_group_of(hashes[i], options_.max_parallelism)];
      }
      break;
    }
    case Partitioner::kCustom: {
      targets_.resize(batch->rows());
      if (options_.custom.functions->partition(partitioner_, &batch->abi(), static_cast<std::uint32_t>(count),
                                               targets_.data()) != 0) {
        return partitioner_task_.user.failure;
      }
      for (const std::uint32_t target : targets_) {
        if (target >= count) {
          return fail(Code::kUserCode, fmt::format("A custom partitioner chose channel {} of {}", target, count));
        }
      }
      break;
    }
    case Partitioner::kBroadcast:
      break;
  }
  scatter(batch);
  if (options_.buffer_timeout == Nanos(0)) flush();
  return {};
}

// rows_ becomes the physical rows for target 0, then those for target 1 and so on; begins_[t] is where those of t
// begin.
void Output::sort_by_target(const data::RowBatch& batch) {
  const std::uint32_t count = batch.rows();
  const auto physical = [&](auto&& put) {
    if (const std::uint32_t* selection = batch.selection(); selection != nullptr) {
      for (std::uint32_t i = 0; i < count; ++i) put(i, selection[i]);
    } else {
      for (std::uint32_t i = 0; i < count; ++i) put(i, i);
    }
  };
  const std::size_t targets = channels_.size();
  rows_.resize(std::size_t{count} + 1);  // one more: what is written before it is known whether it counts
  begins_.assign(targets + 1, 0);
  if (targets <= kSharedTargetsMax) {
    // A pass for each target: without a branch, and without a counter in memory that the next row would wait for.
    std::uint32_t* out = rows_.data();
    for (std::uint32_t target = 0; target < targets; ++target) {
      physical([&](std::uint32_t i, std::uint32_t row) {
        *out = row;
        out += targets_[i] == target ? 1 : 0;
      });
      begins_[target + 1] = static_cast<std::uint32_t>(out - rows_.data());
    }
    return;
  }
  for (std::uint32_t i = 0; i < count; ++i) ++begins_[targets_[i] + 1];
  for (std::size_t target = 0; target < targets; ++target) begins_[target + 1] += begins_[target];
  next_of_.assign(begins_.begin(), begins_.end() - 1);
  physical([&](std::uint32_t i, std::uint32_t row) { rows_[next_of_[targets_[i]]++] = row; });
}

void Output::scatter(const data::BatchRef& batch) {
  sort_by_target(*batch);
  for (std::size_t target = 0; target < channels_.size(); ++target) {
    std::span<const std::uint32_t> rows(rows_.data() + begins_[target], begins_[target + 1] - begins_[target]);
    if (rows.empty()) continue;
    if (rows.size() == batch->rows()) {
      send_held(target);  // came before
      send(target, batch);
      return;
    }
    if (shares(channels_.size())) {
      send(target, data::RowBatch::select(batch, rows, pool_));
      continue;
    }
    while (!rows.empty()) {
      auto& builder = builders_[target];
      if (builder == nullptr) {
        builder = std::make_unique<data::BatchBuilder>(schema_, rows_of_a_builder(channels_.size()), pool_);
        ++held_;
      }
      const std::size_t taken = std::min<std::size_t>(rows.size(), builder->capacity() - builder->rows());
      builder->append(*batch, rows.first(taken));
      rows = rows.subspan(taken);
      if (builder->is_full()) send_held(target);
    }
  }
}

void Output::send_held(std::size_t target) {
  if (builders_[target] == nullptr) return;
  send(target, builders_[target]->build());
  builders_[target].reset();
  --held_;
}

void Output::flush() {
  held_since_.reset();
  for (std::size_t target = 0; target < builders_.size() && held_ > 0; ++target) send_held(target);
}

void Output::flush_if_due(Ticks now) {
  if (held_ == 0 || !options_.buffer_timeout) return;
  if (!held_since_) held_since_ = now;
  if (now - *held_since_ >= *options_.buffer_timeout) flush();
}

void Output::on_idle() {
  if (options_.buffer_timeout) flush();
}

void Output::broadcast(const Item& item) {
  flush();
  for (std::size_t target = 0; target < channels_.size(); ++target) push(target, item);
}

bool Output::has_credit() {
  std::erase_if(lacking_, [&](std::uint32_t target) {
    is_lacking_[target] = !channels_[target]->has_credit();
    return !is_lacking_[target];
  });
  return lacking_.empty() && !is_too_busy();
}

// A batch that is shared by very many is kept as long as one of them has not seen it: no more of them than the
// consumers keep up with.
bool Output::is_too_busy() {
  if (busy_.size() <= channels_.size() / 2) return false;
  std::erase_if(busy_, [&](std::uint32_t target) {
    is_busy_[target] = channels_[target]->queued_bytes() > 0;
    return !is_busy_[target];
  });
  return busy_.size() > channels_.size() / 2;
}

bool Output::wait_for_credit() {
  bool waits = false;
  for (const std::uint32_t target : lacking_) {
    if (!channels_[target]->has_credit() && channels_[target]->wait_for_credit()) waits = true;
  }
  if (waits) return true;
  // One of the busy ones, another one each time: when its consumer has had its turn, so have others.
  while (is_too_busy()) {
    waits_for_ = (waits_for_ + 1) % busy_.size();
    if (channels_[busy_[waits_for_]]->wait_for_level(0)) return true;
  }
  return false;
}

}  // namespace drey::runtime
