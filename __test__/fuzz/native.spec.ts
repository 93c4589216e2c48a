import { fuzzTest } from '../support/fuzz/spec.js'

fuzzTest('native_functions_with_any_arguments_return_or_throw_and_never_crash_or_write_outside', 'fuzz-native.ts')
