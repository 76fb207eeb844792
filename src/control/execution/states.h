// States of jobs and of attempts, as Flink spells them, and which moves are legal.
#pragma once

#include <array>
#include <utility>

#include "base/enums.h"

namespace drey::control {

enum class JobState {
  kInitializing,
  kCreated,
  kRunning,
  kFailing,
  kFailed,
  kCancelling,
  kCanceled,
  kFinished,
  kRestarting,
  kSuspended,
  kReconciling
};
constexpr auto enum_table(JobState) {
  return std::array{EnumRow{JobState::kInitializing, "INITIALIZING"},
                    EnumRow{JobState::kCreated, "CREATED"},
                    EnumRow{JobState::kRunning, "RUNNING"},
                    EnumRow{JobState::kFailing, "FAILING"},
                    EnumRow{JobState::kFailed, "FAILED"},
                    EnumRow{JobState::kCancelling, "CANCELLING"},
                    EnumRow{JobState::kCanceled, "CANCELED"},
                    EnumRow{JobState::kFinished, "FINISHED"},
                    EnumRow{JobState::kRestarting, "RESTARTING"},
                    EnumRow{JobState::kSuspended, "SUSPENDED"},
                    EnumRow{JobState::kReconciling, "RECONCILING"}};
}
constexpr bool is_globally_terminal(JobState s) {
  return s == JobState::kFailed || s == JobState::kCanceled || s == JobState::kFinished;
}

enum class AttemptState {
  kCreated,
  kScheduled,
  kDeploying,
  kRunning,
  kFinished,
  kCanceling,
  kCanceled,
  kFailed,
  kReconciling,
  kInitializing
};
constexpr auto enum_table(AttemptState) {
  return std::array{
      EnumRow{AttemptState::kCreated, "CREATED"},         EnumRow{AttemptState::kScheduled, "SCHEDULED"},
      EnumRow{AttemptState::kDeploying, "DEPLOYING"},     EnumRow{AttemptState::kRunning, "RUNNING"},
      EnumRow{AttemptState::kFinished, "FINISHED"},       EnumRow{AttemptState::kCanceling, "CANCELING"},
      EnumRow{AttemptState::kCanceled, "CANCELED"},       EnumRow{AttemptState::kFailed, "FAILED"},
      EnumRow{AttemptState::kReconciling, "RECONCILING"}, EnumRow{AttemptState::kInitializing, "INITIALIZING"}};
}
constexpr bool is_terminal(AttemptState s) {
  return s == AttemptState::kFinished || s == AttemptState::kCanceled || s == AttemptState::kFailed;
}

inline constexpr std::array kJobMoves{
    std::pair{JobState::kInitializing, JobState::kCreated},   std::pair{JobState::kInitializing, JobState::kFailed},
    std::pair{JobState::kInitializing, JobState::kSuspended}, std::pair{JobState::kInitializing, JobState::kCanceled},
    std::pair{JobState::kCreated, JobState::kRunning},        std::pair{JobState::kCreated, JobState::kSuspended},
    std::pair{JobState::kRunning, JobState::kFailing},        std::pair{JobState::kRunning, JobState::kCancelling},
    std::pair{JobState::kRunning, JobState::kFinished},       std::pair{JobState::kRunning, JobState::kRestarting},
    std::pair{JobState::kRunning, JobState::kSuspended},      std::pair{JobState::kRestarting, JobState::kRunning},
    std::pair{JobState::kRestarting, JobState::kFailing},     std::pair{JobState::kRestarting, JobState::kCancelling},
    std::pair{JobState::kRestarting, JobState::kSuspended},   std::pair{JobState::kFailing, JobState::kFailed},
    std::pair{JobState::kFailing, JobState::kCancelling},     std::pair{JobState::kFailing, JobState::kSuspended},
    std::pair{JobState::kCancelling, JobState::kCanceled},    std::pair{JobState::kCancelling, JobState::kSuspended},
};
constexpr bool is_legal(JobState from, JobState to) {
  for (const auto& move : kJobMoves) {
    if (move.first == from && move.second == to) return true;
  }
  return false;
}
namespace detail {
constexpr bool terminal_states_stay_terminal() {
  for (const auto& move : kJobMoves) {
    if (is_globally_terminal(move.first)) return false;
  }
  return true;
}
}  // namespace detail
static_assert(detail::terminal_states_stay_terminal());

}  // namespace drey::control
