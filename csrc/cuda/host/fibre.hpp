// Fibres: on x86-64 a switch of stacks in a few instructions (ucontext makes a system call each time), else ucontext.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>

#ifndef __x86_64__
#include <ucontext.h>
#endif

namespace shim {

constexpr std::size_t stack_bytes = 32 << 10;

struct Fibre {
  std::unique_ptr<char[]> stack;
#ifdef __x86_64__
  void* top = nullptr;
#else
  ucontext_t context;
#endif
};

#ifdef __x86_64__

extern "C" void anonfilter_switch(void** from, void* to);
// Keeps what the System V ABI asks a callee to keep.
asm(R"(
.text
.type anonfilter_switch, @function
anonfilter_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size anonfilter_switch, .-anonfilter_switch
)");

inline void switch_to(Fibre& from, Fibre& to) { anonfilter_switch(&from.top, to.top); }

inline void start(Fibre& fibre, void (*entry)()) {
  if (!fibre.stack) fibre.stack = std::make_unique<char[]>(stack_bytes);
  // Entered by `ret`: the stack pointer is then 8 below a multiple of 16, as after a call.
  auto end = reinterpret_cast<std::uintptr_t>(fibre.stack.get() + stack_bytes) & ~std::uintptr_t{15};
  auto** top = reinterpret_cast<void**>(end) - 8;
  for (int i = 0; i < 6; ++i) top[i] = nullptr;
  top[6] = reinterpret_cast<void*>(entry);
  top[7] = nullptr;
  fibre.top = top;
}

#else

inline void switch_to(Fibre& from, Fibre& to) { swapcontext(&from.context, &to.context); }

inline void start(Fibre& fibre, void (*entry)()) {
  if (!fibre.stack) fibre.stack = std::make_unique<char[]>(stack_bytes);
  getcontext(&fibre.context);
  fibre.context.uc_stack.ss_sp = fibre.stack.get();
  fibre.context.uc_stack.ss_size = stack_bytes;
  fibre.context.uc_link = nullptr;
  makecontext(&fibre.context, entry, 0);
}

#endif

}  // namespace shim
