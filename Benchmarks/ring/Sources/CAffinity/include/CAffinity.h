#ifndef CAFFINITY_H
#define CAFFINITY_H
/// Binds the calling thread to one core.
void affinity_pin(int core);
#endif
