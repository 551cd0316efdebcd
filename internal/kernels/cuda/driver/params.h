/* Parameter lists from lists of types: PARAMS3(a, b, c) is "a x3, b x2, c x1" and NAMES3 is "x3, x2, x1". */
#define PARAMS0(a) void
#define PARAMS1(a) a x1
#define PARAMS2(a, ...) a x2, PARAMS1(__VA_ARGS__)
#define PARAMS3(a, ...) a x3, PARAMS2(__VA_ARGS__)
#define PARAMS4(a, ...) a x4, PARAMS3(__VA_ARGS__)
#define PARAMS5(a, ...) a x5, PARAMS4(__VA_ARGS__)
#define PARAMS6(a, ...) a x6, PARAMS5(__VA_ARGS__)
#define PARAMS7(a, ...) a x7, PARAMS6(__VA_ARGS__)
#define PARAMS8(a, ...) a x8, PARAMS7(__VA_ARGS__)
#define PARAMS9(a, ...) a x9, PARAMS8(__VA_ARGS__)
#define PARAMS10(a, ...) a x10, PARAMS9(__VA_ARGS__)
#define PARAMS11(a, ...) a x11, PARAMS10(__VA_ARGS__)
#define PARAMS12(a, ...) a x12, PARAMS11(__VA_ARGS__)
#define PARAMS13(a, ...) a x13, PARAMS12(__VA_ARGS__)
#define PARAMS14(a, ...) a x14, PARAMS13(__VA_ARGS__)
#define PARAMS15(a, ...) a x15, PARAMS14(__VA_ARGS__)
#define PARAMS16(a, ...) a x16, PARAMS15(__VA_ARGS__)
#define PARAMS17(a, ...) a x17, PARAMS16(__VA_ARGS__)
#define PARAMS18(a, ...) a x18, PARAMS17(__VA_ARGS__)
#define PARAMS19(a, ...) a x19, PARAMS18(__VA_ARGS__)

#define NAMES0
#define NAMES1 x1
#define NAMES2 x2, NAMES1
#define NAMES3 x3, NAMES2
#define NAMES4 x4, NAMES3
#define NAMES5 x5, NAMES4
#define NAMES6 x6, NAMES5
#define NAMES7 x7, NAMES6
#define NAMES8 x8, NAMES7
#define NAMES9 x9, NAMES8
#define NAMES10 x10, NAMES9
#define NAMES11 x11, NAMES10
#define NAMES12 x12, NAMES11
#define NAMES13 x13, NAMES12
#define NAMES14 x14, NAMES13
#define NAMES15 x15, NAMES14
#define NAMES16 x16, NAMES15
#define NAMES17 x17, NAMES16
#define NAMES18 x18, NAMES17
#define NAMES19 x19, NAMES18
