// Words that enumerated texts of the API are made of.
#pragma once

#include <array>

#include "rest/shape.h"

namespace drey::rest {

inline constexpr std::array kJobStates{Word{"INITIALIZING", kV2, "CREATED", Dialect::k111},
                                       Word{"CREATED"},
                                       Word{"RUNNING"},
                                       Word{"FAILING"},
                                       Word{"FAILED"},
                                       Word{"CANCELLING"},
                                       Word{"CANCELED"},
                                       Word{"FINISHED"},
                                       Word{"RESTARTING"},
                                       Word{"SUSPENDED"},
                                       Word{"RECONCILING"}};
inline constexpr std::array kTaskStates{Word{"CREATED"},     Word{"SCHEDULED"},
                                        Word{"DEPLOYING"},   Word{"RUNNING"},
                                        Word{"FINISHED"},    Word{"CANCELING"},
                                        Word{"CANCELED"},    Word{"FAILED"},
                                        Word{"RECONCILING"}, Word{"INITIALIZING", kV2, "RUNNING", Dialect::k112}};
inline constexpr std::array kJobTypes{Word{"BATCH"}, Word{"STREAMING"}};
inline constexpr std::array kCheckpointStates{Word{"IN_PROGRESS"}, Word{"COMPLETED"}, Word{"FAILED"}};
inline constexpr std::array kCheckpointTypes{Word{"CHECKPOINT"}, Word{"UNALIGNED_CHECKPOINT"}, Word{"SAVEPOINT"},
                                             Word{"SYNC_SAVEPOINT"}};
inline constexpr std::array kPressureLevels{Word{"ok"}, Word{"low"}, Word{"high"}};
inline constexpr std::array kPressureStates{Word{"deprecated"}, Word{"ok"}};
inline constexpr std::array kUploadStates{Word{"success"}};
inline constexpr std::array kClaimModes{Word{"CLAIM"}, Word{"NO_CLAIM"}, Word{"LEGACY"}};
inline constexpr std::array kQueueStates{Word{"IN_PROGRESS"}, Word{"COMPLETED"}};
inline constexpr std::array kTerminationModes{Word{"cancel"}, Word{"stop"}};
inline constexpr std::array kProfilingModes{Word{"CPU"}, Word{"ALLOC"}, Word{"LOCK"}, Word{"WALL"}, Word{"ITIMER"}};
inline constexpr std::array kFlameGraphTypes{Word{"FULL"}, Word{"ON_CPU"}, Word{"OFF_CPU"}};
inline constexpr std::array kAggregations{Word{"min"}, Word{"max"}, Word{"avg"}, Word{"sum"}, Word{"skew"}};

}  // namespace drey::rest
