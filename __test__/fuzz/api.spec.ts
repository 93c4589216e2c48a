import { fuzzTest } from '../support/fuzz/spec.js'

fuzzTest('calls_with_any_arguments_in_any_order_throw_typed_errors_only_and_bad_ones_change_nothing', 'fuzz-api.ts')
