//! Traffic control: queueing disciplines, and the filters on them that are BPF programs.

use netlink_packet_core::{NLM_F_CREATE, NLM_F_DUMP, NLM_F_ECHO, NLM_F_EXCL, NLM_F_REPLACE};

use super::{Answer, Kind, NetlinkError, Request, Socket, attribute, nested, text};

const NEW_QDISC: Kind = Kind::new(36, "RTM_NEWQDISC");
const DELETE_QDISC: Kind = Kind::new(37, "RTM_DELQDISC");
const GET_QDISC: Kind = Kind::new(38, "RTM_GETQDISC");
const GET_CLASS: Kind = Kind::new(42, "RTM_GETTCLASS");
const NEW_FILTER: Kind = Kind::new(44, "RTM_NEWTFILTER");
const DELETE_FILTER: Kind = Kind::new(45, "RTM_DELTFILTER");
const GET_FILTER: Kind = Kind::new(46, "RTM_GETTFILTER");

/// Words of `struct tcmsg`: family, index, handle, parent, info.
const HEADER: usize = 5;

// `TCA_*`
const KIND: u16 = 1;
const OPTIONS: u16 = 2;

// `TCA_BPF_*`
const FD: u16 = 6;
const NAME: u16 = 7;
const FLAGS: u16 = 8;
const ID: u16 = 11;
/// `ETH_P_ALL`, as it goes over the wire.
const EVERY_PROTOCOL: u16 = 3_u16.to_be();
/// `TCA_BPF_FLAG_ACT_DIRECT`: what the program returns is what is done with the packet.
const DIRECT_ACTION: u32 = 1;

/// A queueing discipline, at a place on a device.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Qdisc<'a> {
    pub(crate) ifindex: u32,
    pub(crate) kind: &'a str,
    pub(crate) parent: u32,
    pub(crate) handle: u32,
}

impl Qdisc<'_> {
    fn request(&self, kind: Kind, flags: u16) -> Request {
        let header = [0, self.ifindex, self.handle, self.parent, 0];
        Request::new(kind, flags, &header, &[text(KIND, self.kind)])
    }

    /// `EEXIST` if there is one of this handle.
    pub(crate) fn create(&self, socket: &mut Socket) -> Result<(), NetlinkError> {
        let request = self.request(NEW_QDISC, NLM_F_CREATE | NLM_F_EXCL);
        socket.ask(request).map(drop)
    }

    pub(crate) fn delete(&self, socket: &mut Socket) -> Result<(), NetlinkError> {
        socket.ask(self.request(DELETE_QDISC, 0)).map(drop)
    }
}

/// Where filters can be, in the order of devices: what they are a child of, and the device.
pub(crate) fn parents(socket: &mut Socket) -> Result<Vec<(u32, u32)>, NetlinkError> {
    /// `TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS)`, and egress.
    const BOTH_WAYS: [u32; 2] = [0xffff_fff2, 0xffff_fff3];
    let qdiscs = socket.ask(Request::new(GET_QDISC, NLM_F_DUMP, &[0; HEADER], &[]))?;
    let mut found = Vec::new();
    for qdisc in &qdiscs {
        let (ifindex, handle) = (qdisc.word(1), qdisc.word(2));
        let kind = qdisc.attributes(HEADER).text(KIND);
        match kind.as_str() {
            "clsact" => found.extend(BOTH_WAYS.map(|parent| (ifindex, parent))),
            // What has no handle has no filters.
            _ if handle == 0 => {}
            "ingress" => found.push((ifindex, handle)),
            _ => {
                found.push((ifindex, handle));
                let header = [0, ifindex, 0, handle, 0];
                let classes = socket.ask(Request::new(GET_CLASS, NLM_F_DUMP, &header, &[]))?;
                found.extend(classes.iter().map(|class| (ifindex, class.word(2))));
            }
        }
    }
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

/// Where filters are; a priority or handle of 0 is any.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) ifindex: u32,
    pub(crate) parent: u32,
    pub(crate) priority: u16,
    pub(crate) handle: u32,
}

/// A filter that is a BPF program.
#[derive(Clone, Debug)]
pub struct Filter {
    pub(crate) place: Place,
    /// The number of the chain, 0 unless somebody made others.
    pub(crate) chain: u32,
    pub(crate) program: u32,
    pub(crate) name: String,
    pub(crate) direct_action: bool,
}

impl Place {
    const fn header(&self, protocol: u16) -> [u32; HEADER] {
        let info = (self.priority as u32) << 16 | protocol as u32;
        [0, self.ifindex, self.handle, self.parent, info]
    }

    /// Adds a filter and returns it as the kernel has it. With `replace`, in the place of one with
    /// this priority and handle; without, that is `EEXIST`.
    pub(crate) fn add(
        &self,
        socket: &mut Socket,
        fd: i32,
        name: &str,
        replace: bool,
    ) -> Result<Option<Filter>, NetlinkError> {
        let how = if replace { NLM_F_REPLACE } else { NLM_F_EXCL };
        let options = [
            attribute(FD, fd),
            text(NAME, name),
            attribute(FLAGS, DIRECT_ACTION),
        ];
        let header = self.header(EVERY_PROTOCOL);
        let attributes = [text(KIND, "bpf"), nested(OPTIONS, &options)];
        let flags = NLM_F_CREATE | NLM_F_ECHO | how;
        let answers = socket.ask(Request::new(NEW_FILTER, flags, &header, &attributes))?;
        Ok(answers.iter().find_map(Filter::from))
    }

    /// Removes the filter that is there; without a handle all of the priority, without a priority all.
    pub(crate) fn remove(&self, socket: &mut Socket) -> Result<(), NetlinkError> {
        let (protocol, attributes) = match self.priority {
            0 => (0, vec![]),
            _ => (EVERY_PROTOCOL, vec![text(KIND, "bpf")]),
        };
        let header = self.header(protocol);
        let request = Request::new(DELETE_FILTER, 0, &header, &attributes);
        socket.ask(request).map(drop)
    }

    /// The filters that are BPF programs, in the order in which they run.
    pub(crate) fn filters(&self, socket: &mut Socket) -> Result<Vec<Filter>, NetlinkError> {
        let header = [0, self.ifindex, 0, self.parent, 0];
        let answers = socket.ask(Request::new(GET_FILTER, NLM_F_DUMP, &header, &[]))?;
        let found = answers.iter().filter_map(Filter::from);
        Ok(found.filter(|filter| self.has(&filter.place)).collect())
    }

    fn has(&self, other: &Self) -> bool {
        let fits = |wanted: u32, is: u32| wanted == 0 || wanted == is;
        fits(self.priority.into(), other.priority.into()) && fits(self.handle, other.handle)
    }
}

impl Filter {
    /// `None` for filters of other kinds, and for the head of a priority, which has no handle.
    pub fn from(answer: &Answer) -> Option<Self> {
        /// `TCA_CHAIN`
        const CHAIN: u16 = 11;
        let attributes = answer.attributes(HEADER);
        let options = attributes.nested(OPTIONS);
        let place = Place {
            ifindex: answer.word(1),
            handle: answer.word(2),
            parent: answer.word(3),
            priority: (answer.word(4) >> 16) as u16,
        };
        (attributes.text(KIND) == "bpf" && place.handle != 0).then(|| Self {
            place,
            chain: attributes.number(CHAIN),
            program: options.number(ID),
            name: options.text(NAME),
            direct_action: options.number::<u32>(FLAGS) & DIRECT_ACTION != 0,
        })
    }
}
