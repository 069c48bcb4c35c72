"""Words that mean something where the name of a network is written: no part of a network may know.

Not a choice of ours but the closed lists of the standards, each whole: what a language or an
operating system reserves cannot be the name of a module, of a file or of a C macro's beginning in
every tool that reads them. Only words that a network's name could be (small letters, digits,
underscores) are listed. ``golden.names`` says what becomes of a name that is one of them.
"""

import keyword

__all__ = ["RESERVED", "VERILOG"]

# IEEE 1800-2023, annex B, which has all of IEEE 1364-2005
_SYSTEMVERILOG = """
    accept_on alias always always_comb always_ff always_latch and assert assign assume automatic
    before begin bind bins binsof bit break buf bufif0 bufif1 byte case casex casez cell chandle
    checker class clocking cmos config const constraint context continue cover covergroup coverpoint
    cross deassign default defparam design disable dist do edge else end endcase endchecker endclass
    endclocking endconfig endfunction endgenerate endgroup endinterface endmodule endpackage
    endprimitive endprogram endproperty endspecify endsequence endtable endtask enum event
    eventually expect export extends extern final first_match for force foreach forever fork
    forkjoin function generate genvar global highz0 highz1 if iff ifnone ignore_bins illegal_bins
    implements implies import incdir include initial inout input inside instance int integer
    interconnect interface intersect join join_any join_none large let liblist library local
    localparam logic longint macromodule matches medium modport module nand negedge nettype new
    nexttime nmos nor noshowcancelled not notif0 notif1 null or output package packed parameter pmos
    posedge primitive priority program property protected pull0 pull1 pulldown pullup
    pulsestyle_ondetect pulsestyle_onevent pure rand randc randcase randsequence rcmos real realtime
    ref reg reject_on release repeat restrict return rnmos rpmos rtran rtranif0 rtranif1 s_always
    s_eventually s_nexttime s_until s_until_with scalared sequence shortint shortreal showcancelled
    signed small soft solve specify specparam static string strong strong0 strong1 struct super
    supply0 supply1 sync_accept_on sync_reject_on table tagged task this throughout time
    timeprecision timeunit tran tranif0 tranif1 tri tri0 tri1 triand trior trireg type typedef union
    unique unique0 unsigned until until_with untyped use uwire var vectored virtual void wait
    wait_order wand weak weak0 weak1 while wildcard wire with within wor xnor xor
"""
# IEEE 1076-2019, 15.10; Verilog-AMS 2023, which Verilog tools of this kind also read
_VHDL_AMS = """
    abs access after all architecture array assume_guarantee attribute block body buffer bus
    component configuration disconnect downto elsif entity exit file generic group guarded impure in
    inertial is label linkage literal loop map mod next nature noise of on open others out port
    postponed procedure process protected private pure quantity range record register reject
    reference rem report return rol ror select severity signal shared sla sll spectrum sra srl
    subnature subtype terminal then through to tolerance transport units until variable view vmode
    vpkg vprop vunit when across aliasparam abstol above abstol ac_stim access acos acosh analog
    analysis asin asinh assert atan atan2 atanh branch ceil connect connectmodule connectrules
    continuous cos cosh cross ddt ddt_nature ddx discipline discrete domain driver_update
    endconnectrules enddiscipline endnature endparamset exclude exp final_step flicker_noise floor
    flow from ground hypot idt idt_nature idtmod inf initial_step laplace_nd laplace_np laplace_zd
    laplace_zp last_crossing limexp ln log max merged min net_resolution noise_table paramset
    potential pow resolveto sin sinh slew split sqrt tan tanh timer transition units white_noise
    wreal zi_nd zi_np zi_zd zi_zp
"""
# ISO/IEC 9899:2024 (C) and 14882:2023 (C++), with the alternative tokens
_C = """
    alignas alignof and_eq asm auto bitand bitor bool case catch char char8_t char16_t char32_t
    class co_await co_return co_yield compl concept const const_cast consteval constexpr constinit
    continue decltype default delete do double dynamic_cast else enum explicit export extern false
    float for friend goto if inline int long mutable namespace new noexcept not not_eq nullptr
    operator or or_eq private protected public register reinterpret_cast requires restrict return
    short signed sizeof static static_assert static_cast struct switch template this thread_local
    throw true try typedef typeid typename typeof typeof_unqual union unsigned using virtual void
    volatile wchar_t while xor xor_eq main errno
"""
# Names that Windows takes for devices whatever follows the first dot
_DEVICES = "con prn aux nul clock " + " ".join(f"com{n} lpt{n}" for n in range(10))
# Names beside which our bench and wrapper instantiate the top; a test reads the bench for more
_OURS = """
    top sterna clk rst dut held images packets at_in at_out clocks errors s_ready s_valid m_valid
    m_last m_data end_failed
"""

VERILOG = frozenset(_SYSTEMVERILOG.split())
"""Words that a name in Verilog must not be, whatever else it may mean."""
RESERVED = frozenset(
    " ".join((_SYSTEMVERILOG, _VHDL_AMS, _C, _DEVICES, _OURS)).split()
    + [word for word in (*keyword.kwlist, *keyword.softkwlist) if word.islower()]
)
