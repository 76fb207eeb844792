// The enumerated texts of the API, a table each.
#pragma once

#include <array>

#include "rest/shape.h"

namespace drey::rest {

inline constexpr std::array kJobStates{EnumText{"INITIALIZING", kV2, "CREATED", Dialect::k111},
                                       EnumText{"CREATED"},
                                       EnumText{"RUNNING"},
                                       EnumText{"FAILING"},
                                       EnumText{"FAILED"},
                                       EnumText{"CANCELLING"},
                                       EnumText{"CANCELED"},
                                       EnumText{"FINISHED"},
                                       EnumText{"RESTARTING"},
                                       EnumText{"SUSPENDED"},
                                       EnumText{"RECONCILING"}};
inline constexpr std::array kTaskStates{
    EnumText{"CREATED"},     EnumText{"SCHEDULED"},
    EnumText{"DEPLOYING"},   EnumText{"RUNNING"},
    EnumText{"FINISHED"},    EnumText{"CANCELING"},
    EnumText{"CANCELED"},    EnumText{"FAILED"},
    EnumText{"RECONCILING"}, EnumText{"INITIALIZING", kV2, "RUNNING", Dialect::k112}};
inline constexpr std::array kJobTypes{EnumText{"BATCH"}, EnumText{"STREAMING"}};
inline constexpr std::array kCheckpointStates{EnumText{"IN_PROGRESS"}, EnumText{"COMPLETED"}, EnumText{"FAILED"}};
inline constexpr std::array kCheckpointTypes{EnumText{"CHECKPOINT"}, EnumText{"UNALIGNED_CHECKPOINT"},
                                             EnumText{"SAVEPOINT"}, EnumText{"SYNC_SAVEPOINT"}};
inline constexpr std::array kPressureLevels{EnumText{"ok"}, EnumText{"low"}, EnumText{"high"}};
inline constexpr std::array kPressureStates{EnumText{"deprecated"}, EnumText{"ok"}};
inline constexpr std::array kUploadStates{EnumText{"success"}};
inline constexpr std::array kClaimModes{EnumText{"CLAIM"}, EnumText{"NO_CLAIM"}, EnumText{"LEGACY"}};
inline constexpr std::array kQueueStates{EnumText{"IN_PROGRESS"}, EnumText{"COMPLETED"}};
inline constexpr std::array kTerminationModes{EnumText{"cancel"}, EnumText{"stop"}};
inline constexpr std::array kProfilingModes{EnumText{"CPU"}, EnumText{"ALLOC"}, EnumText{"LOCK"}, EnumText{"WALL"},
                                            EnumText{"ITIMER"}};
inline constexpr std::array kFlameGraphTypes{EnumText{"FULL"}, EnumText{"ON_CPU"}, EnumText{"OFF_CPU"}};
inline constexpr std::array kAggregations{EnumText{"min"}, EnumText{"max"}, EnumText{"avg"}, EnumText{"sum"},
                                          EnumText{"skew"}};

}  // namespace drey::rest
