#undef assert
#ifdef NDEBUG
#define assert(condition) ((void)0)
#else
void grader_assert(const char *condition, const char *file, int line);
#define assert(condition) ((condition) ? (void)0 : grader_assert(#condition, __FILE__, __LINE__))
#endif
