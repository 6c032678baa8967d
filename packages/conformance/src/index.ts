/**
 * The contract suites that every adapter must pass, each a function of a name and a layer.
 *
 * @since 0.1.0
 */
export * as ClockTest from "./ClockTest.js"
export * as CommandTest from "./CommandTest.js"
export * as ConsumerTest from "./ConsumerTest.js"
export * as DifferentialTest from "./DifferentialTest.js"
export * as FeedTest from "./FeedTest.js"
export * as GivenTest from "./GivenTest.js"
export * as GoneBackTest from "./GoneBackTest.js"
export * as HistoryTest from "./HistoryTest.js"
export * as JournalTest from "./JournalTest.js"
export * as LongRun from "./LongRun.js"
export * as PropertyTest from "./PropertyTest.js"
export * as QueryTest from "./QueryTest.js"
export * as SecretsTest from "./SecretsTest.js"
export * as VerificationTest from "./VerificationTest.js"
